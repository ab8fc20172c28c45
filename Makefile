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

PKGS    := libbpf libelf zlib jansson sqlite3 libcrypto libpcap libsystemd inih
PKGFLAGS := $(shell pkg-config --cflags $(PKGS))
LIBS    := $(shell pkg-config --libs $(PKGS)) -lm -lpthread
WARN    := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	   -Wwrite-strings -Wvla -Wno-unused-parameter
CFLAGS  ?= -O2 -g
CFLAGS  += -std=gnu11 $(WARN) $(SANFLAGS) $(EXTRA_CFLAGS)
CPPFLAGS := -D_GNU_SOURCE -I. -Iuserspace -Ibpf -I$(B) $(PKGFLAGS)
BPFFLAGS := -O2 -g -std=gnu11 -Wall -Wextra -Wno-unused-parameter \
	    -Wno-gnu-variable-sized-type-not-at-end -Werror -target bpf -mcpu=v3 \
	    -Ibpf -I/usr/include/$(ARCH)

ROOMS   := base model tls kern detect store enrich export
LIBSRC  := $(sort $(foreach r,$(ROOMS),$(wildcard userspace/$(r)/*.c)))
LIBOBJ  := $(LIBSRC:%.c=$(B)/%.o)
DAEMON  := $(patsubst %.c,$(B)/%.o,$(sort $(wildcard userspace/daemon/*.c)))
CLI     := $(patsubst %.c,$(B)/%.o,$(sort $(wildcard userspace/cli/*.c)))
SKELS   := $(patsubst bpf/%.bpf.c,$(B)/%.skel.h,$(wildcard bpf/*.bpf.c))

UNIT    := $(patsubst %.c,$(B)/%,$(sort $(wildcard tests/unit/test_*.c)))
PROG    := $(patsubst %.c,$(B)/%,$(sort $(wildcard tests/prog/test_*.c)))
TESTLIB := $(patsubst %.c,$(B)/%.o,$(sort $(wildcard tests/prog/lib_*.c) $(wildcard tests/unit/lib_*.c)))
TOOLS   := $(patsubst %.c,$(B)/%,$(sort $(wildcard tests/e2e/*.c) $(wildcard tests/replay/*.c) \
	   $(wildcard tests/sim/*.c) $(wildcard tests/bench/*.c)))
FUZZ    := $(patsubst %.c,$(B)/%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))

.PHONY: all tests tools fuzz check lint format clean bpf
.SECONDARY:
.DELETE_ON_ERROR:

all: $(B)/winnow $(B)/winnowd

# Made from the command table of the program itself.
SHARE   := $(B)/share/winnow.8 $(B)/share/winnow-fingerprints.7 $(addprefix $(B)/share/winnow.,bash zsh fish)
.PHONY: share
share: $(SHARE)

bpf: $(SKELS)
tests: all $(UNIT) $(PROG) $(TOOLS)
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

$(B)/share/winnow.8: userspace/share/man/winnow.8.scd $(B)/winnow
	$(call say,MAN,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(B)/winnow help --scdoc > $@.commands
	$(Q)sed -e '/^@COMMANDS@$$/r $@.commands' -e '/^@COMMANDS@$$/d' $< | scdoc > $@

$(B)/share/winnow-fingerprints.7: userspace/share/man/winnow-fingerprints.7.scd $(B)/winnow
	$(call say,MAN,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(B)/winnow help --results > $@.results
	$(Q)sed -e '/^@RESULTS@$$/r $@.results' -e '/^@RESULTS@$$/d' $< | scdoc > $@

$(B)/share/winnow.%: $(B)/winnow
	$(call say,SHELL,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(B)/winnow completion $* > $@

$(B)/winnowd: $(DAEMON) $(B)/libwinnow.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

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

$(B)/tests/sim/%: $(B)/tests/sim/%.o $(B)/libwinnow.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) -o $@ $^ $(LIBS)

$(B)/tests/bench/%: $(B)/tests/bench/%.o $(B)/libwinnow.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) -o $@ $^ $(LIBS)

$(B)/tests/replay/%: $(B)/tests/replay/%.o $(B)/libwinnow.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) -o $@ $^ $(LIBS)

$(B)/tests/fuzz/%: tests/fuzz/%.c $(LIBSRC) Makefile
	$(call say,FUZZ,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(CPPFLAGS) -g -O1 -std=gnu11 -fsanitize=fuzzer,address,undefined \
		-fno-sanitize-recover=undefined -MMD -MP -MF $@.d -o $@ $< \
		$(filter-out userspace/kern/%,$(LIBSRC)) $(LIBS)

clean:
	$(Q)rm -rf build

-include $(shell find $(B) -name '*.d' 2>/dev/null)
