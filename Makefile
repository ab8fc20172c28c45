# winnow - see README.md. Quiet by default; `make V=1` shows the commands,
# `make SAN=1` builds a separate tree with ASan and UBSan.

CC      ?= gcc
CLANG   ?= clang-14
BPFTOOL ?= /usr/sbin/bpftool
ARCH    := $(shell $(CC) -dumpmachine)

ifeq ($(SAN),1)
B := build/san
SANFLAGS := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
else
B := build
endif

Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-6s %s\n' $(1) $(2))

PKGS    := libbpf libelf zlib jansson sqlite3 libcrypto libpcap libsystemd inih ncursesw libmicrohttpd libmaxminddb
PKGFLAGS := $(shell pkg-config --cflags $(PKGS))
LIBS    := $(shell pkg-config --libs $(PKGS)) -lm -lpthread
WARN    := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	   -Wwrite-strings -Wvla -Wno-unused-parameter
CFLAGS  ?= -O2 -g
# -fms-extensions: a struct that is part of another by its name alone, as in abi.h. `override`:
# also where CFLAGS is given to make itself, as coverage and packagers do.
DIALECT := -std=gnu11 -fms-extensions
override CFLAGS += $(DIALECT) $(WARN) $(SANFLAGS) $(EXTRA_CFLAGS)
CHARTJS ?= /usr/share/javascript/chart.js/chart.min.js
CPPFLAGS := -D_GNU_SOURCE -DCHARTJS='"$(CHARTJS)"' -I. -Iuserspace -Ibpf -I$(B) $(PKGFLAGS) $(CPPFLAGS)
BPFFLAGS := -O2 -g $(DIALECT) -Wall -Wextra -Wno-unused-parameter -Wno-microsoft-anon-tag \
	    -Wno-gnu-variable-sized-type-not-at-end -Werror -target bpf -mcpu=v3 \
	    -Ibpf -I/usr/include/$(ARCH)

ROOMS   := base model tls kern detect store enrich export judge
LIBSRC  := $(sort $(foreach r,$(ROOMS),$(wildcard userspace/$(r)/*.c)))
LIBOBJ  := $(LIBSRC:%.c=$(B)/%.o)
DAEMON  := $(patsubst %.c,$(B)/%.o,$(sort $(wildcard userspace/daemon/*.c)))
CLI     := $(patsubst %.c,$(B)/%.o,$(sort $(wildcard userspace/cli/*.c)))
SKELS   := $(patsubst bpf/%.bpf.c,$(B)/%.skel.h,$(wildcard bpf/*.bpf.c))

UNIT    := $(patsubst %.c,$(B)/%,$(sort $(wildcard tests/unit/test_*.c)))
PROG    := $(patsubst %.c,$(B)/%,$(sort $(wildcard tests/prog/test_*.c)))
TESTLIB := $(patsubst %.c,$(B)/%.o,$(sort $(wildcard tests/prog/lib_*.c) $(wildcard tests/unit/lib_*.c)))
# Programs of the generator; its other files are their library.
SIM     := $(patsubst %,$(B)/tests/sim/%,scenario trial rivals)
SIMOBJ  := $(patsubst %.c,$(B)/%.o,$(filter-out $(SIM:$(B)/%=%.c),$(sort $(wildcard tests/sim/*.c))))
TOOLS   := $(patsubst %.c,$(B)/%,$(sort $(wildcard tests/e2e/*.c) $(wildcard tests/replay/*.c) \
	   $(wildcard tests/bench/bench_*.c))) $(SIM)
BENCHLIB := $(patsubst %.c,$(B)/%.o,$(sort $(wildcard tests/bench/lib_*.c))) \
	   $(B)/tests/prog/lib_frames.o $(B)/tests/prog/lib_hellos.o
BENCHSKEL := $(patsubst %.bpf.c,$(B)/%.skel.h,$(wildcard tests/bench/*.bpf.c))
FUZZ    := $(patsubst %.c,$(B)/%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))

.PHONY: all tests tools fuzz check lint format clean bpf
.SECONDARY:
.DELETE_ON_ERROR:

all: $(B)/winnow $(B)/winnowd

# Made from the tables of the programs themselves.
MAN     := winnow.8 winnowd.8 winnow.conf.5 winnow-rules.5 winnow-metrics.7 winnow-detection.7 \
	   winnow-fingerprints.7
SHARE   := $(addprefix $(B)/share/,$(MAN)) $(addprefix $(B)/share/winnow.,bash zsh fish)
.PHONY: share
share: $(SHARE)

bpf: $(SKELS)
tests: all $(UNIT) $(PROG) $(TOOLS) $(B)/other/build/winnowd
tools: $(TOOLS)
fuzz: $(FUZZ)

check:
	$(Q)scripts/test
lint:
	$(Q)scripts/lint
format:
	$(Q)find bpf userspace tests -name '*.[ch]' -exec clang-format-14 -i --style=file {} +

$(B)/winnow: $(CLI) $(B)/libwinnow.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

# A page is prose with lines @NAME@ where a table of the programs goes.
PAGES   := COMMANDS RESULTS METRICS KEYS
$(B)/share/COMMANDS $(B)/share/RESULTS $(B)/share/METRICS: $(B)/winnow
	$(Q)mkdir -p $(@D)
	$(Q)$(B)/winnow help --$(if $(findstring COMMANDS,$@),scdoc,$(if $(findstring RESULTS,$@),results,metrics)) > $@
$(B)/share/KEYS: $(B)/winnowd
	$(Q)mkdir -p $(@D)
	$(Q)$(B)/winnowd -K > $@

$(addprefix $(B)/share/,$(MAN)): $(B)/share/%: userspace/share/man/%.scd $(addprefix $(B)/share/,$(PAGES))
	$(call say,MAN,$@)
	$(Q)sed $(foreach p,$(PAGES),-e '/^@$(p)@$$/r $(B)/share/$(p)' -e '/^@$(p)@$$/d') $< | scdoc > $@

$(addprefix $(B)/share/winnow.,bash zsh fish): $(B)/share/winnow.%: $(B)/winnow
	$(call say,SHELL,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(B)/winnow completion $* > $@

$(B)/winnowd: $(DAEMON) $(B)/libwinnow.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

# The same daemon with other tables, for tests of the way from one to the other. Quickly
# made: it need not be fast.
$(B)/other/build/winnowd: $(B)/winnowd tests/e2e/other-layout
	$(call say,OTHER,$@)
	$(Q)tests/e2e/other-layout $(B)/other
	$(Q)CFLAGS=-O0 $(MAKE) -s -C $(B)/other B=build build/winnowd > $(B)/other.log 2>&1 || \
		{ cat $(B)/other.log; exit 1; }
	$(Q)touch $@

$(B)/libwinnow.a: $(LIBOBJ)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(B)/%.bpf.o: bpf/%.bpf.c Makefile
	$(call say,BPF,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPFFLAGS) -MMD -MP -c -o $@ $<

$(B)/%.skel.h: $(B)/%.bpf.o
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name $(subst -,_,$*)_bpf > $@

# The report carries its parts in the program: page, script, look, and Debian's Chart.js.
$(B)/userspace/export/report_parts.o: $(wildcard userspace/share/report/*) $(CHARTJS)
$(CHARTJS):
	@echo "$@ is missing. Try: sudo scripts/deps --build" >&2; exit 1

# Floors and peers of the benchmark.
$(B)/tests/bench/%.bpf.o: tests/bench/%.bpf.c Makefile
	$(call say,BPF,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPFFLAGS) -MMD -MP -c -o $@ $<

$(B)/tests/bench/%.skel.h: $(B)/tests/bench/%.bpf.o
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name $*_bpf > $@

$(BENCHLIB) $(patsubst %.c,$(B)/%.o,$(wildcard tests/bench/bench_*.c)): | $(SKELS) $(BENCHSKEL)

# Only kern/ and the program tests include skeletons.
$(filter $(B)/userspace/kern/%,$(LIBOBJ)) $(PROG:=.o) $(filter $(B)/tests/prog/%,$(TESTLIB)): | $(SKELS)

$(B)/%.o: %.c Makefile
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# The tests of the command line link its program, without main().
$(B)/tests/unit/test_cli_%: $(B)/tests/unit/test_cli_%.o $(TESTLIB) \
		$(filter-out $(B)/userspace/cli/main.o,$(CLI)) $(B)/libwinnow.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) -o $@ $^ $(LIBS) -lcmocka

$(B)/tests/unit/test_daemon_%: $(B)/tests/unit/test_daemon_%.o $(TESTLIB) \
		$(filter-out $(B)/userspace/daemon/main.o,$(DAEMON)) $(B)/libwinnow.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) -o $@ $^ $(LIBS) -lcmocka

$(B)/tests/unit/%: $(B)/tests/unit/%.o $(TESTLIB) $(B)/libwinnow.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) -o $@ $^ $(LIBS) -lcmocka

$(B)/tests/prog/%: $(B)/tests/prog/%.o $(TESTLIB) $(B)/libwinnow.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) -o $@ $^ $(LIBS) -lcmocka

$(B)/tests/e2e/%: $(B)/tests/e2e/%.o $(B)/libwinnow.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) -o $@ $^ $(LIBS)

$(B)/tests/sim/%: $(B)/tests/sim/%.o $(SIMOBJ) $(B)/libwinnow.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) -o $@ $^ $(LIBS)

$(B)/tests/bench/%: $(B)/tests/bench/%.o $(BENCHLIB) $(B)/libwinnow.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) -o $@ $^ $(LIBS)

$(B)/tests/replay/%: $(B)/tests/replay/%.o $(B)/libwinnow.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) -o $@ $^ $(LIBS)

# The library once more, as the fuzzer wants it; of it a target takes what it calls.
FUZZED   := $(B)/fuzzed
FUZZOBJ  := $(patsubst %.c,$(FUZZED)/%.o,$(LIBSRC) $(sort $(wildcard tests/prog/lib_*.c)) tests/unit/lib_kern.c)
FUZZWITH := $(CLANG) -g -O1 $(DIALECT) -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined \
	    -Wno-gnu-variable-sized-type-not-at-end -Wno-microsoft-anon-tag
$(filter $(FUZZED)/userspace/kern/% $(FUZZED)/tests/%,$(FUZZOBJ)): | $(SKELS)
$(FUZZED)/userspace/export/report_parts.o: $(wildcard userspace/share/report/*) $(CHARTJS)

$(FUZZED)/%.o: %.c Makefile
	$(call say,FUZZED,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(FUZZWITH) $(CPPFLAGS) -MMD -MP -c -o $@ $<

$(FUZZED)/libwinnow.a: $(FUZZOBJ)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(B)/tests/fuzz/%: $(FUZZED)/tests/fuzz/%.o $(FUZZED)/libwinnow.a
	$(call say,FUZZ,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(FUZZWITH) -o $@ $^ $(LIBS) -lcmocka

# ---- installation ---------------------------------------------------------------
PREFIX     ?= /usr
SYSCONFDIR ?= /etc
UNITDIR    ?= $(PREFIX)/lib/systemd/system
D          := $(DESTDIR)$(PREFIX)

# Files only; users, units and mounts are the package's or the operator's: with no
# DESTDIR the user is made here, and what to do next is said.
.PHONY: install
install: all share
	$(call say,INST,$(DESTDIR)$(PREFIX))
	$(Q)install -D -m 755 $(B)/winnow $(D)/bin/winnow
	$(Q)install -D -m 755 $(B)/winnowd $(D)/sbin/winnowd
	$(Q)install -D -m 644 userspace/share/winnow.conf $(D)/lib/winnow/winnow.conf
	$(Q)install -d $(DESTDIR)$(SYSCONFDIR)/winnow/winnow.conf.d
	$(Q)test -e $(DESTDIR)$(SYSCONFDIR)/winnow/winnow.conf || \
		install -m 644 userspace/share/winnow.local.conf $(DESTDIR)$(SYSCONFDIR)/winnow/winnow.conf
	$(Q)install -D -m 644 -t $(DESTDIR)$(UNITDIR) userspace/share/systemd/*
	$(Q)install -D -m 644 -t $(D)/lib/sysusers.d userspace/share/sysusers.d/winnow.conf
	$(Q)for p in $(MAN); do install -D -m 644 -t $(D)/share/man/man$${p##*.} $(B)/share/$$p; done
	$(Q)install -D -m 644 $(B)/share/winnow.bash $(D)/share/bash-completion/completions/winnow
	$(Q)install -D -m 644 $(B)/share/winnow.zsh $(D)/share/zsh/vendor-completions/_winnow
	$(Q)install -D -m 644 $(B)/share/winnow.fish $(D)/share/fish/vendor_completions.d/winnow.fish
	$(Q)install -D -m 644 -t $(D)/share/winnow/prometheus userspace/share/prometheus/winnow.rules.yml
	$(Q)install -D -m 644 -t $(D)/share/winnow/grafana userspace/share/grafana/winnow.json
ifeq ($(DESTDIR),)
	$(Q)systemd-sysusers $(D)/lib/sysusers.d/winnow.conf
	$(Q)test ! -d /run/systemd/system || systemctl daemon-reload
	@echo "Next: put interfaces = DEV into $(SYSCONFDIR)/winnow/winnow.conf, then"
	@echo "      systemctl enable --now winnowd.socket winnowd"
endif

# Pins, state and configuration stay.
.PHONY: uninstall
uninstall:
	$(Q)rm -f $(D)/bin/winnow $(D)/sbin/winnowd $(D)/lib/sysusers.d/winnow.conf \
		$(addprefix $(DESTDIR)$(UNITDIR)/,$(notdir $(wildcard userspace/share/systemd/*))) \
		$(foreach p,$(MAN),$(D)/share/man/man$(subst .,,$(suffix $(p)))/$(p)) \
		$(D)/share/bash-completion/completions/winnow $(D)/share/zsh/vendor-completions/_winnow \
		$(D)/share/fish/vendor_completions.d/winnow.fish
	$(Q)rm -rf $(D)/lib/winnow $(D)/share/winnow

clean:
	$(Q)rm -rf build

-include $(shell find $(B) -path $(B)/package -prune -o -path $(B)/other -prune -o -name '*.d' -type f -print 2>/dev/null)
