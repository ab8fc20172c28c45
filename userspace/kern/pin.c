/* SPDX-License-Identifier: BSD-2-Clause */
#include "kern/internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>

#include <linux/magic.h>

#include "kern/layout.h"
#include "winnow.skel.h"

#define NEXT "maps:next"

static const char *const kinds[] = { "maps", "progs", "links", "qdiscs" };

int pin_path(const struct kern *k, char out[PATH_MAX], const char *kind, const char *name)
{
	int n = snprintf(out, PATH_MAX, "%s/%s%s%s", k->pin_dir, kind, name ? "/" : "",
			 name ? name : "");

	return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

/* bpf file systems reserve '.' in names; device names cannot hold ':'. */
void pin_device_name(const char *device, char out[32])
{
	snprintf(out, 32, "%s", device);
	for (char *c = out; *c; c++)
		if (*c == '.')
			*c = ':';
}

void pin_device_from(const char *pin, char out[16])
{
	snprintf(out, 16, "%s", pin);
	for (char *c = out; *c; c++)
		if (*c == ':')
			*c = '.';
}

int pin_check_fs(const char *dir, struct reason *r)
{
	char path[PATH_MAX];
	struct statfs fs;
	char *slash;

	if (dir[0] != '/' || strlen(dir) >= sizeof(path))
		return reason_set(r, -EINVAL, "pin directory %s: not an absolute path", dir);
	strcpy(path, dir);
	while (statfs(path, &fs)) {
		if (errno != ENOENT)
			return reason_set(r, -errno, "pin directory %s: %s", dir, strerror(errno));
		slash = strrchr(path, '/');
		slash[slash == path ? 1 : 0] = '\0';
	}
	if ((uint32_t)fs.f_type != BPF_FS_MAGIC)
		return reason_set(r, -ENODEV,
				  "pin directory %s: no bpf file system is mounted there. "
				  "Try: mount -t bpf bpf /sys/fs/bpf",
				  dir);
	if (fs.f_flags & ST_RDONLY)
		return reason_set(r, -EROFS,
				  "pin directory %s: its bpf file system is mounted read-only. "
				  "Try: mount -o remount,rw /sys/fs/bpf",
				  dir);
	if (access(path, W_OK | X_OK))
		return reason_set(r, -errno,
				  "pin directory %s: %s is not writable for this user: %s. "
				  "Try: run as its owner, or chown it",
				  dir, path, strerror(errno));
	return 0;
}

static int make_dir(const char *path, struct reason *r)
{
	if (!mkdir(path, 0700) || errno == EEXIST)
		return 0;
	return reason_set(r, -errno, "make directory %s: %s", path, strerror(errno));
}

static int make_dirs(const struct kern *k, struct reason *r)
{
	char path[PATH_MAX];
	int err;

	err = make_dir(k->pin_dir, r);
	for (size_t i = 0; !err && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		err = pin_path(k, path, kinds[i], NULL);
		if (!err)
			err = make_dir(path, r);
	}
	return err;
}

/* Entries of <pin_dir>/<kind>; removes them too if asked. A missing directory
 * has none. */
static int count_pins(const struct kern *k, const char *kind, bool remove_them)
{
	char dir[PATH_MAX], path[PATH_MAX + 256];
	struct dirent *e;
	int n = 0;
	DIR *d;

	if (pin_path(k, dir, kind, NULL))
		return 0;
	d = opendir(dir);
	if (!d)
		return 0;
	while ((e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		n++;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		if (remove_them)
			unlink(path);
	}
	closedir(d);
	return n;
}

static void remove_dir(const struct kern *k, const char *kind)
{
	char path[PATH_MAX];

	count_pins(k, kind, true);
	if (!pin_path(k, path, kind, NULL))
		rmdir(path);
}

void pin_remove_all(const struct kern *k)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		remove_dir(k, kinds[i]);
	remove_dir(k, NEXT);
	rmdir(k->pin_dir); /* the mount point itself stays: EBUSY */
}

static bool fd_is(int fd, const char *what)
{
	char link[64], target[64];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, target, sizeof(target) - 1);
	if (n < 0)
		return false;
	target[n] = '\0';
	return strcmp(target, what) == 0;
}

static int open_map_pin(const char *path, struct reason *r)
{
	int fd = bpf_obj_get(path);
	int err = -errno;

	if (fd < 0 && err == -ENOENT)
		return reason_set(r, err,
				  "%s is missing, the other tables are there. Try: remove %.*s "
				  "(its rules and counters are lost)",
				  path, (int)(strstr(path, "/maps/") - path), path);
	if (fd < 0 && (err == -EACCES || err == -EPERM))
		return reason_set(r, err, "open %s: %s. Try: run as its owner, or chown it", path,
				  strerror(-err));
	if (fd < 0)
		return reason_set(r, err, "open %s: %s. Try: remove it", path, strerror(-err));
	if (!fd_is(fd, "anon_inode:bpf-map")) {
		close(fd);
		return reason_set(r, -EINVAL, "%s is pinned, but is no table. Try: remove it",
				  path);
	}
	return fd;
}

static int check_shape(const struct bpf_map *m, int fd, const char *path, struct reason *r)
{
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return reason_set(r, -errno, "look at %s: %s", path, strerror(errno));
	if (info.type != bpf_map__type(m) || info.key_size != bpf_map__key_size(m) ||
	    info.value_size != bpf_map__value_size(m) || info.map_flags != bpf_map__map_flags(m))
		return reason_set(r, -ESTALE,
				  "%s has another shape than this winnow's. Try: the version that "
				  "made it, or remove the pins (rules and counters are lost)",
				  path);
	if (info.max_entries != bpf_map__max_entries(m))
		return reason_set(r, -ESTALE,
				  "%s has %u entries, the configuration asks for %u. Try: the old "
				  "size, or remove the pins (rules and counters are lost)",
				  path, info.max_entries, bpf_map__max_entries(m));
	return 0;
}

/* The layout is asked first: a table of another version may have any shape. */
static int check_abi(const char *path, struct reason *r)
{
	_cleanup_(freep) uint8_t *value = NULL;
	_cleanup_(closep) int fd = -1;
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info), zero = 0, abi;
	int err;

	fd = open_map_pin(path, r);
	if (fd < 0)
		return fd;
	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return reason_set(r, -errno, "look at %s: %s", path, strerror(errno));
	if (info.type != BPF_MAP_TYPE_ARRAY || info.key_size != 4 ||
	    info.value_size < offsetof(struct control, abi) + sizeof(abi))
		return reason_set(r, -EINVAL, "%s is not winnow's. Try: remove it", path);
	value = calloc(1, info.value_size);
	if (!value)
		return reason_set(r, -ENOMEM, "out of memory");
	err = map_get(fd, &zero, value);
	if (err)
		return reason_set(r, err, "read %s: %s", path, strerror(-err));
	memcpy(&abi, value + offsetof(struct control, abi), sizeof(abi));
	if (abi != WINNOW_ABI_VERSION)
		return reason_set(r, -ESTALE,
				  "%s has layout %u, this winnow has layout %u. Try: the version "
				  "that made it, or remove the pins (rules and counters are lost)",
				  path, abi, WINNOW_ABI_VERSION);
	return 0;
}

/* All of them are looked at before the first is taken. */
static int adopt_maps(struct kern *k, bool take, struct reason *r)
{
	struct bpf_map *m;
	int err;

	bpf_object__for_each_map(m, k->skel->obj) {
		_cleanup_(closep) int fd = -1;
		char path[PATH_MAX];

		if (bpf_map__is_internal(m) || !bpf_map__autocreate(m))
			continue;
		err = pin_path(k, path, "maps", bpf_map__name(m));
		if (err)
			return reason_set(r, err, "pin directory %s: too long", k->pin_dir);
		fd = open_map_pin(path, r);
		if (fd < 0)
			return fd;
		err = check_shape(m, fd, path, r);
		if (!err && take)
			err = bpf_map__reuse_fd(m, fd);
		if (err)
			return take ? reason_set(r, err, "take over %s: %s", path, strerror(-err))
				    : err;
	}
	return 0;
}

static int pin_layout(const struct kern *k, const char *dir, struct reason *r)
{
	_cleanup_(closep) int fd = -1;
	char path[PATH_MAX];
	int err;

	if (pin_path(k, path, dir, LAYOUT_TABLE))
		return reason_set(r, -ENAMETOOLONG, "pin directory %s: too long", k->pin_dir);
	err = layout_store(bpf_object__btf(k->skel->obj), &fd);
	if (!err && bpf_obj_pin(fd, path))
		err = -errno;
	return err ? reason_set(r, err, "pin %s: %s", path, strerror(-err)) : 0;
}

int pin_adopt(struct kern *k, bool *found, struct reason *r)
{
	char control[PATH_MAX];
	int err;

	err = pin_check_fs(k->pin_dir, r);
	if (err)
		return err;
	err = pin_path(k, control, "maps", "control");
	if (err)
		return reason_set(r, err, "pin directory %s: too long", k->pin_dir);
	if (access(control, F_OK)) {
		if (errno != ENOENT)
			return reason_set(r, -errno, "open %s: %s", control, strerror(errno));
		if (count_pins(k, "links", false))
			return reason_set(r, -ESTALE,
					  "%s is missing, but devices are attached. Try: remove %s "
					  "(this detaches them)",
					  control, k->pin_dir);
		count_pins(k, "maps", true);
		count_pins(k, "progs", true);
		*found = false;
		return 0;
	}
	remove_dir(k, NEXT); /* of a move that was cut short: its old state is here */
	err = check_abi(control, r);
	if (!err)
		err = adopt_maps(k, false, r);
	if (!err)
		err = adopt_maps(k, true, r);
	else if (err == -ESTALE && move_begin(k, r) != -ENOENT)
		err = k->move ? 0 : -EBADMSG;
	*found = !err;
	return err;
}

static int pin_map(struct kern *k, const char *dir, struct bpf_map *m, struct reason *r)
{
	char path[PATH_MAX];

	if (pin_path(k, path, dir, bpf_map__name(m)))
		return reason_set(r, -ENAMETOOLONG, "pin directory %s: too long", k->pin_dir);
	if (bpf_obj_pin(bpf_map__fd(m), path))
		return reason_set(r, -errno, "pin %s: %s", path, strerror(errno));
	return 0;
}

static int pin_maps_into(struct kern *k, const char *dir, struct reason *r)
{
	struct bpf_map *m;
	int err = pin_layout(k, dir, r);

	bpf_object__for_each_map(m, k->skel->obj) {
		if (bpf_map__is_internal(m) || !bpf_map__autocreate(m) ||
		    m == k->skel->maps.control)
			continue;
		if (!err)
			err = pin_map(k, dir, m, r);
	}
	return err ?: pin_map(k, dir, k->skel->maps.control, r);
}

int pin_maps(struct kern *k, struct reason *r)
{
	int err = make_dirs(k, r);

	if (err)
		return err;
	err = pin_maps_into(k, "maps", r);
	if (err)
		pin_remove_all(k);
	return err;
}

int pin_maps_next(struct kern *k, struct reason *r)
{
	char path[PATH_MAX];
	int err = pin_path(k, path, NEXT, NULL);

	if (err)
		return reason_set(r, err, "pin directory %s: too long", k->pin_dir);
	remove_dir(k, NEXT);
	err = make_dir(path, r);
	if (!err)
		err = pin_maps_into(k, NEXT, r);
	if (err)
		remove_dir(k, NEXT);
	return err;
}

int pin_maps_swap(struct kern *k, struct reason *r)
{
	char from[PATH_MAX], to[PATH_MAX];

	if (pin_path(k, from, NEXT, NULL) || pin_path(k, to, "maps", NULL))
		return reason_set(r, -ENAMETOOLONG, "pin directory %s: too long", k->pin_dir);
	if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_EXCHANGE))
		return reason_set(r, -errno, "exchange %s and %s: %s", from, to, strerror(errno));
	remove_dir(k, NEXT);
	return 0;
}

/* Two steps, so that the pin never goes: `<name>:next`, then renamed. */
int pin_programs_next(struct kern *k, struct reason *r)
{
	struct bpf_program *p;
	char path[PATH_MAX], name[64];
	int err;

	err = make_dirs(k, r);
	if (err)
		return err;
	bpf_object__for_each_program(p, k->skel->obj) {
		if (!bpf_program__autoload(p))
			continue;
		snprintf(name, sizeof(name), "%s:next", bpf_program__name(p));
		if (pin_path(k, path, "progs", name))
			return reason_set(r, -ENAMETOOLONG, "pin directory too long");
		unlink(path);
		if (bpf_obj_pin(bpf_program__fd(p), path))
			return reason_set(r, -errno, "pin %s: %s", path, strerror(errno));
	}
	return 0;
}

int pin_programs(struct kern *k, struct reason *r)
{
	struct bpf_program *p;
	char from[PATH_MAX], to[PATH_MAX], name[64];
	int err;

	err = pin_programs_next(k, r);
	if (err)
		return err;
	bpf_object__for_each_program(p, k->skel->obj) {
		if (!bpf_program__autoload(p))
			continue;
		snprintf(name, sizeof(name), "%s:next", bpf_program__name(p));
		if (pin_path(k, from, "progs", name) ||
		    pin_path(k, to, "progs", bpf_program__name(p)))
			return reason_set(r, -ENAMETOOLONG, "pin directory too long");
		if (rename(from, to))
			return reason_set(r, -errno, "rename %s: %s", from, strerror(errno));
	}
	return 0;
}

uint32_t pin_program_id(const struct kern *k, const char *name)
{
	_cleanup_(closep) int fd = -1;
	struct bpf_prog_info info = {};
	uint32_t len = sizeof(info);
	char path[PATH_MAX];

	if (pin_path(k, path, "progs", name))
		return 0;
	fd = bpf_obj_get(path);
	if (fd < 0 || !fd_is(fd, "anon_inode:bpf-prog"))
		return 0;
	return bpf_obj_get_info_by_fd(fd, &info, &len) ? 0 : info.id;
}

int kern_unpin(struct kern *k, struct reason *r)
{
	_cleanup_(freep) struct attachment *list = NULL;
	size_t n = 0;
	int err;

	err = kern_attachments(k, &list, &n);
	for (size_t i = 0; !err && i < n; i++)
		err = kern_detach(k, list[i].device, r);
	if (err)
		return err;
	if (k->pin_dir)
		pin_remove_all(k);
	return 0;
}
