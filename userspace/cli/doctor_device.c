/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "cli/doctor.h"
#include "kern/kern.h"

/* Drivers whose native XDP is in Linux 6.1; the device itself has the last word, when
 * winnow is attached. Source: Documentation and drivers/net of that release, the
 * handlers of XDP_SETUP_PROG. */
static const char *const native[] = {
	"atlantic",    "bnxt_en",    "bonding", "dpaa2-eth",   "ena",     "fsl_dpaa2_eth",
	"gve",         "hv_netvsc",  "i40e",    "ice",         "igb",     "igc",
	"ixgbe",       "ixgbevf",    "lan966x", "mana",        "mlx4_en", "mlx5_core",
	"mtk_soc_eth", "mvneta",     "mvpp2",   "netsec",      "nfp",     "qede",
	"sfc",         "st_gmac",    "stmmac",  "thunder-nic", "tsnep",   "tun",
	"veth",        "virtio_net", "vif",
};

/* Those of them whose native mode takes frames of several buffers in 6.1: larger MTUs. */
static const char *const frags[] = { "ena",       "gve",    "i40e", "ice",
				     "mlx5_core", "mvneta", "veth", "virtio_net" };

static bool in_list(const char *name, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(list[i], name))
			return true;
	return false;
}

/* ---- facts -------------------------------------------------------------------------- */

static bool has(const struct doctor *d, const char *device, const char *what)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/sys/class/net/%s/%s", d->root, device, what);
	return !access(path, F_OK);
}

static bool uevent_says(const struct doctor *d, const char *device, const char *want)
{
	_cleanup_(fclosep) FILE *f = NULL;
	char path[512], line[128];

	snprintf(path, sizeof(path), "%s/sys/class/net/%s/uevent", d->root, device);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		if (!strcmp(line, want))
			return true;
	}
	return false;
}

static unsigned int rx_queues(const struct doctor *d, const char *device)
{
	unsigned int n = 0;
	char what[32];

	do
		snprintf(what, sizeof(what), "queues/rx-%u", n);
	while (has(d, device, what) && ++n < 4096);
	return n;
}

static int ethtool(int fd, const char *device, void *data)
{
	struct ifreq r = { .ifr_data = data };

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", device);
	return ioctl(fd, SIOCETHTOOL, &r) ? -errno : 0;
}

#define FEATURES_MAX 256

/* The bit of a feature by its name among the device's, -1: it has none such. */
static int feature_bit(const char (*name)[ETH_GSTRING_LEN], unsigned int n, const char *want)
{
	for (unsigned int i = 0; i < n; i++)
		if (!strncmp(name[i], want, ETH_GSTRING_LEN))
			return (int)i;
	return -1;
}

static void offloads(int fd, struct device_facts *f)
{
	struct {
		struct ethtool_gstrings head;
		char name[FEATURES_MAX][ETH_GSTRING_LEN];
	} strings = { .head = { .cmd = ETHTOOL_GSTRINGS, .string_set = ETH_SS_FEATURES } };
	struct {
		struct ethtool_sset_info head;
		uint32_t n;
	} count = { .head = { .cmd = ETHTOOL_GSSET_INFO, .sset_mask = 1ULL << ETH_SS_FEATURES } };
	struct {
		struct ethtool_gfeatures head;
		struct ethtool_get_features_block block[FEATURES_MAX / 32];
	} got = { .head = { .cmd = ETHTOOL_GFEATURES, .size = FEATURES_MAX / 32 } };
	struct {
		const char *name;
		bool *on;
	} want[] = { { "rx-lro", &f->lro },
		     { "rx-gro-hw", &f->gro_hw },
		     { "rx-vlan-hw-parse", &f->rxvlan } };

	if (ethtool(fd, f->device, &count) || count.n > FEATURES_MAX ||
	    ethtool(fd, f->device, &strings) || ethtool(fd, f->device, &got))
		return;
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		int bit = feature_bit((const char(*)[ETH_GSTRING_LEN])strings.name, count.n,
				      want[i].name);

		*want[i].on = bit >= 0 && got.block[bit / 32].active & 1u << bit % 32;
	}
}

int device_facts(const struct doctor *d, const char *device, struct device_facts *out)
{
	_cleanup_(closep) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ethtool_drvinfo driver = { .cmd = ETHTOOL_GDRVINFO };
	struct ifreq r = {};
	struct device_xdp xdp;

	*out = (struct device_facts){};
	if (strlen(device) >= sizeof(out->device) || !if_nametoindex(device))
		return -ENODEV;
	strcpy(out->device, device);
	strcpy(r.ifr_name, device);
	if (!ioctl(fd, SIOCGIFMTU, &r))
		out->mtu = r.ifr_mtu;
	if (!ioctl(fd, SIOCGIFFLAGS, &r))
		out->up = r.ifr_flags & IFF_UP;
	if (!ethtool(fd, device, &driver))
		snprintf(out->driver, sizeof(out->driver), "%s", driver.driver);
	offloads(fd, out);
	out->bond = has(d, device, "bonding");
	out->bond_member = has(d, device, "bonding_slave");
	out->bridge_member = has(d, device, "brport");
	out->vlan = uevent_says(d, device, "DEVTYPE=vlan");
	out->wireless = uevent_says(d, device, "DEVTYPE=wlan");
	out->rx_queues = rx_queues(d, device);
	out->cpus = (unsigned int)sysconf(_SC_NPROCESSORS_ONLN);
	if (!kern_device_xdp(device, &xdp)) {
		out->xdp_id = xdp.prog_id;
		out->xdp_generic = xdp.generic;
		strcpy(out->xdp_name, xdp.name);
	}
	return 0;
}

/* ---- what they mean -------------------------------------------------------------------- */

#define FRAGS_FROM 3498 /* a page less headroom, tailroom and the Ethernet header */

static void mode(struct doctor *d, const struct device_facts *f, const char *about)
{
	bool known = in_list(f->driver, native, sizeof(native) / sizeof(native[0]));
	const char *why = "native XDP sees a packet before it costs anything";
	char todo[160];

	if (f->ours) {
		finding(d, about, f->xdp_generic ? FINDING_WARN : FINDING_OK, why,
			f->xdp_generic
				? "winnow detach, then winnow attach --mode native says why not"
				: NULL,
			"winnow is attached, %s", f->xdp_generic ? "generic" : "native");
		return;
	}
	/* Fault 62: never replaced. */
	if (f->xdp_id) {
		snprintf(todo, sizeof(todo),
			 "ip link set %s xdp off, if it is yours to; or another device", f->device);
		finding(d, about, FINDING_BAD,
			"a device has room for one XDP program; another's is never replaced", todo,
			"the XDP program %u%s%s%s is there", f->xdp_id, *f->xdp_name ? " (" : "",
			f->xdp_name, *f->xdp_name ? ")" : "");
		return;
	}
	snprintf(todo, sizeof(todo), "winnow attach %s --mode generic, or a card of another driver",
		 f->device);
	finding(d, about, known ? FINDING_OK : FINDING_WARN, why, known ? NULL : todo,
		known ? "driver %s has native XDP" : "driver %s is not known for native XDP",
		*f->driver ? f->driver : "unknown");
}

/* Faults 18, 19, 64: what drivers refuse, said before they do. */
static void frames(struct doctor *d, const struct device_facts *f, const char *about)
{
	bool whole = in_list(f->driver, frags, sizeof(frags) / sizeof(frags[0]));
	char todo[96];

	snprintf(todo, sizeof(todo), "ip link set %s mtu 1500", f->device);
	finding(d, about, f->mtu <= FRAGS_FROM || whole ? FINDING_OK : FINDING_WARN,
		"large frames come in several buffers, which not every driver gives to XDP",
		f->mtu <= FRAGS_FROM || whole ? NULL : todo, "MTU %u", f->mtu);
	snprintf(todo, sizeof(todo), "ethtool -K %s lro off", f->device);
	if (f->lro)
		finding(d, about, FINDING_BAD,
			"large receive offload merges segments: native XDP is refused, or hellos and "
			"delays are not what was on the wire",
			todo, "LRO is on");
	snprintf(todo, sizeof(todo), "ethtool -K %s rx-gro-hw off", f->device);
	if (f->gro_hw)
		finding(d, about, FINDING_WARN, "the card merges segments before winnow sees them",
			todo, "hardware GRO is on");
	/* Fault 10. Always on where it exists; rules on sources work all the same. */
	snprintf(todo, sizeof(todo), "ethtool -K %s rxvlan off, if tags must be seen", f->device);
	if (f->rxvlan)
		finding(d, about, FINDING_NOTE,
			"the card takes VLAN tags off: winnow cannot tell VLANs apart, and needs not to",
			todo, "VLAN tags are stripped");
}

static void place(struct doctor *d, const struct device_facts *f, const char *about)
{
	if (f->bond_member)
		finding(d, about, FINDING_BAD, "a bond takes frames from its members as one device",
			"attach to the bond itself", "it is a member of a bond");
	if (f->bond)
		finding(d, about, FINDING_NOTE,
			"native on a bond needs native on each member, and mode balance-rr, active-backup, "
			"802.3ad or balance-xor",
			"winnow attach says which member refuses", "it is a bond");
	if (f->vlan)
		finding(d, about, FINDING_WARN, "a VLAN device has generic XDP only",
			"attach to the device below: tags are read", "it is a VLAN device");
	if (f->bridge_member)
		finding(d, about, FINDING_NOTE,
			"what it forwards to others is seen, too; only protected ports are looked at",
			NULL, "it is a port of a bridge");
	if (f->wireless)
		finding(d, about, FINDING_WARN, "wireless drivers have no native XDP", NULL,
			"it is wireless");
	if (!strcmp(f->driver, "ena") && f->rx_queues * 2 > f->cpus && f->rx_queues > 1 && !f->ours)
		finding(d, about, FINDING_WARN,
			"ena needs half of its channels free for native XDP",
			"ethtool -L DEV combined N, with N half of what it is", "%u receive queues",
			f->rx_queues);
	if (!f->up)
		finding(d, about, FINDING_WARN, "nothing arrives", "ip link set DEV up",
			"it is down");
}

void doctor_device(struct doctor *d, const struct device_facts *f)
{
	char about[32];

	snprintf(about, sizeof(about), "device %s", f->device);
	mode(d, f, about);
	frames(d, f, about);
	place(d, f, about);
}
