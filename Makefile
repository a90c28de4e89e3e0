# Sluice: one non-recursive Makefile. Variants: make SAN=asan,ubsan
VARIANT   := $(if $(SAN),san,release)
B         := build/$(VARIANT)
BIN       := $(if $(SAN),$(B)/bin,build/bin)
PREFIX    ?= /usr/local
CNI_BIN_DIR ?= /opt/cni/bin
CC        ?= gcc
CLANG     ?= clang-14
BPFTOOL   ?= bpftool
LLVM_STRIP ?= llvm-strip-14
# make V=1 shows the commands
Q         := $(if $(V),,@)
VERSION   := $(shell git describe --always --dirty 2>/dev/null || echo unknown)

# What says the version is compiled again when it is another one
$(shell mkdir -p $(B)/gen; echo '$(VERSION)' | cmp -s - $(B)/gen/version || echo '$(VERSION)' >$(B)/gen/version)
VERSIONED := $(shell grep -lE 'SLUICE_VERSION|base/version\.h' pkg/*/*.c plugins/*/*.c)

ifeq ($(origin CC),default)
CC := gcc
endif
ifeq ($(wildcard /usr/sbin/bpftool /usr/bin/bpftool /sbin/bpftool),/usr/sbin/bpftool)
BPFTOOL := /usr/sbin/bpftool
endif

# sanitizers: in half the time to compile
CFLAGS    ?= $(if $(SAN),-O1 -g1,-O2 -g)
WARN      := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wcast-qual -Wvla \
             -Wimplicit-fallthrough -Wno-unused-parameter
ALL_CFLAGS = -std=gnu11 -D_GNU_SOURCE -Ipkg -I$(B)/gen -I/usr/include/libnl3 $(WARN) \
             -fstack-protector-strong $(FORTIFY) $(WERROR) $(CFLAGS) \
             -DSLUICE_VERSION='"$(VERSION)"' -DSLUICE_PREFIX='"$(PREFIX)"'
ifdef SAN
ALL_CFLAGS += -fsanitize=$(subst asan,address,$(subst ubsan,undefined,$(SAN))) -fno-omit-frame-pointer \
              -Wno-format-truncation # without -O2 it knows too little of values
SANLD     := -fsanitize=$(subst asan,address,$(subst ubsan,undefined,$(SAN)))
else
FORTIFY   := -D_FORTIFY_SOURCE=3
endif
ifdef CI
WERROR    := -Werror
endif

LIBS_STATIC := -Wl,-Bstatic -lyaml -lnl-route-3 -lnl-3 -lbpf -lelf -lz -Wl,-Bdynamic
LIBS_NFT    := -lnftnl -lmnl
LIBS_CRYPTO := -lcrypto
# only who speaks to the Kubernetes API has it (and the thirty libraries behind it) loaded
LIBS_CURL   := -Wl,--as-needed -lcurl -Wl,--no-as-needed
# the daemon alone listens
LIBS_HTTP   := -Wl,--as-needed -lmicrohttpd -Wl,--no-as-needed

SRCS      := $(filter-out %_test.c %_fuzz.c %.bpf.c pkg/testkit/%,$(wildcard pkg/*/*.c))
OBJS      := $(SRCS:%.c=$(B)/%.o)
LIB       := $(B)/libsluice.a
# what needs TLS is linked only into the tests that ask for it
TESTKIT   := $(patsubst %.c,$(B)/%.o,$(filter-out pkg/testkit/fuzz_% pkg/testkit/fake_%,$(wildcard pkg/testkit/*.c)))
FAKE_API  := $(patsubst %.c,$(B)/%.o,$(wildcard pkg/testkit/fake_*.c))
BPF_SRCS  := $(wildcard pkg/bpf/*.bpf.c)
SKELS     := $(patsubst pkg/bpf/%.bpf.c,$(B)/gen/%.skel.h,$(BPF_SRCS))
TEST_SRCS := $(wildcard pkg/*/*_test.c plugins/*/*_test.c)
TESTS     := $(TEST_SRCS:%.c=$(B)/%)
API_TESTS := $(patsubst %.c,$(B)/%,$(shell grep -l testkit/fake_ $(TEST_SRCS)))

PLUGIN_OBJS := $(patsubst %.c,$(B)/%.o,$(filter-out %_test.c %_fuzz.c,$(wildcard plugins/sluice/*.c)))
DAEMON_OBJS := $(patsubst %.c,$(B)/%.o,$(filter-out %_test.c %_fuzz.c,$(wildcard plugins/sluiced/*.c)))
CTL_OBJS    := $(patsubst %.c,$(B)/%.o,$(filter-out %_test.c %_fuzz.c,$(wildcard plugins/sluicectl/*.c)))
# sluicectl, and what asks clusters beside what it asks the node: so only that one has libcurl
KUBECTL_OBJS := $(patsubst %.c,$(B)/%.o,$(filter-out %_test.c %_fuzz.c,$(wildcard plugins/kubectl-sluice/*.c))) \
                $(filter-out %/main.o,$(CTL_OBJS))
BINS      := $(BIN)/sluice $(BIN)/sluiced $(BIN)/sluicectl $(BIN)/kubectl-sluice

.PHONY: all install uninstall unit fuzz fuzz-build e2e e2e-tools bench-tools check check-full check-kernels image-check alerts faults soak scale sim failover many-gateways soak-gateways bench bench-quick demo lint clean deps
all: $(BINS)

$(filter $(B)/pkg/bpf/%.o,$(OBJS)): $(SKELS)

$(B)/%.o: %.c | $(B)/gen/.dir
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

$(VERSIONED:%.c=$(B)/%.o): $(B)/gen/version

$(B)/gen/.dir:
	@mkdir -p $(@D) && touch $@

# UAPI headers alone: no build needs the BTF of a kernel, see pkg/bpf/README.md
$(B)/gen/%.bpf.o: pkg/bpf/%.bpf.c $(wildcard pkg/bpf/*.h) | $(B)/gen/.dir
	$(Q)$(CLANG) -O2 -g -target bpf -D__TARGET_ARCH_x86 -Ipkg -I/usr/include/$(shell uname -m)-linux-gnu -Wall -Wno-unused-function -c $< -o $@
	$(Q)$(LLVM_STRIP) -g $@

$(B)/gen/fuzz_%.bpf.o: pkg/testkit/fuzz_%.bpf.c | $(B)/gen/.dir
	$(Q)$(CLANG) -O2 -g -target bpf -I/usr/include/$(shell uname -m)-linux-gnu -Wall -c $< -o $@
	$(Q)$(LLVM_STRIP) -g $@

$(B)/gen/%.skel.h: $(B)/gen/%.bpf.o
	$(Q)$(BPFTOOL) gen skeleton $< name $*_bpf > $@.tmp && mv $@.tmp $@

# make would delete them again as intermediate
.SECONDARY: $(SKELS) $(SKELS:.skel.h=.bpf.o)

$(LIB): $(OBJS)
	@rm -f $@
	$(Q)ar rcsD $@ $^

# the plugin: static, and whatever it does not call is not in it
$(BIN)/sluice: $(PLUGIN_OBJS) $(LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) $(if $(SAN),$(SANLD),-static) $(LDFLAGS) -Wl,--gc-sections $^ $(if $(SAN),$(LIBS_STATIC),-lyaml -lnl-route-3 -lnl-3 -lbpf -lelf -lz) -o $@

$(BIN)/sluiced: $(DAEMON_OBJS) $(LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) $(SANLD) $(LDFLAGS) $^ $(LIBS_STATIC) $(LIBS_NFT) $(LIBS_CRYPTO) $(LIBS_CURL) $(LIBS_HTTP) -o $@

$(BIN)/sluicectl: $(CTL_OBJS) $(LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) $(SANLD) $(LDFLAGS) $^ $(LIBS_STATIC) $(LIBS_NFT) $(LIBS_CRYPTO) $(LIBS_CURL) -o $@

$(BIN)/kubectl-sluice: $(KUBECTL_OBJS) $(LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) $(SANLD) $(LDFLAGS) $^ $(LIBS_STATIC) $(LIBS_NFT) $(LIBS_CRYPTO) $(LIBS_CURL) -o $@

$(API_TESTS): $(FAKE_API)
$(API_TESTS): LIBS_TEST := -lssl

# Each test is linked by itself, with all of ours: gold needs half of the usual linker's time.
TESTLD := $(if $(shell command -v ld.gold),-fuse-ld=gold)
$(B)/%_test: %_test.c $(LIB) $(TESTKIT)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP $< $(filter %.o,$^) $(LIB) $(SANLD) $(TESTLD) $(LDFLAGS) -lcmocka $(LIBS_STATIC) $(LIBS_NFT) $(LIBS_CRYPTO) $(LIBS_CURL) $(LIBS_HTTP) $(LIBS_TEST) -o $@

# it listens to what the parser's files ask of each other
$(B)/pkg/policy/crd_test: LDFLAGS += $(foreach f,fields list int choice,-Wl,--wrap=doc_$(f))
$(B)/pkg/policy/crd_test: $(wildcard conf/crds/sluice.dev_*.yaml)

unit: all $(TESTS)
	@scripts/run-tests $(TESTS)

# Fuzzers: objects of their own; json-c is the oracle of json_fuzz and nobody else's. What of the
# testkit is only for them is called fuzz_*. Seconds are of processor time: 10 each, or an hour for
# all together by make fuzz FUZZ_TOTAL=3600
FZ        := build/fuzz
FUZZ_SRCS := $(wildcard pkg/*/*_fuzz.c plugins/*/*_fuzz.c)
FUZZERS   := $(FUZZ_SRCS:%.c=$(FZ)/%)
FUZZ_SECONDS ?= $(if $(FUZZ_TOTAL),$(shell expr $(FUZZ_TOTAL) / $(words $(FUZZERS))),10)
FUZZ_OBJS := $(SRCS:%.c=$(FZ)/%.o) $(patsubst %.c,$(FZ)/%.o,$(filter-out pkg/testkit/fuzz_% pkg/testkit/fake_%,$(wildcard pkg/testkit/*.c)))
FUZZ_WIRED := $(patsubst %.c,$(FZ)/%,$(shell grep -l testkit/fuzz_wire.h $(FUZZ_SRCS)))
FUZZ_PLUGIN = $(patsubst %.c,$(FZ)/%.o,$(filter-out %_test.c %_fuzz.c %/main.c,$(wildcard plugins/$(1)/*.c)))
# pointer-overflow: an empty list's NULL + 0, which C23's successor allows
FUZZ_SAN  := address,undefined -fno-sanitize=pointer-overflow -fno-sanitize-recover=undefined -fno-omit-frame-pointer
FUZZ_CC    = $(CLANG) -std=gnu11 -D_GNU_SOURCE -Ipkg -I$(B)/gen -I/usr/include/libnl3 -O1 -g -DSLUICE_VERSION='"fuzz"' \
             -DSLUICE_PREFIX='"$(PREFIX)"'
FUZZ_LIBS := -lcrypto -ljson-c -lcmocka -Wl,--as-needed -lyaml -lnl-3 -lnftnl -lmnl -lbpf -lelf -lz -lcurl -lmicrohttpd

$(filter $(FZ)/pkg/bpf/%.o,$(FUZZ_OBJS)): $(SKELS)

$(FZ)/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(FUZZ_CC) -fsanitize=fuzzer-no-link,$(FUZZ_SAN) -MMD -MP -c $< -o $@

$(FZ)/libsluice.a: $(FUZZ_OBJS)
	@rm -f $@
	$(Q)ar rcsD $@ $^

# a plugin's fuzzer has the plugin's other files beside it
$(FZ)/plugins/sluice/plugin.a: $(call FUZZ_PLUGIN,sluice)
$(FZ)/plugins/sluicectl/plugin.a: $(call FUZZ_PLUGIN,sluicectl)
$(filter $(FZ)/plugins/sluice/%,$(FUZZERS)): $(FZ)/plugins/sluice/plugin.a
$(filter $(FZ)/plugins/sluicectl/%,$(FUZZERS)): $(FZ)/plugins/sluicectl/plugin.a

# not in the archive: there it would stand in for the C library everywhere
$(FUZZ_WIRED): $(FZ)/pkg/testkit/fuzz_wire.o
$(FZ)/pkg/bpf/tunnel_fuzz: $(B)/gen/fuzz_tunnel_key.skel.h

$(FZ)/plugins/%/plugin.a:
	@rm -f $@
	$(Q)ar rcsD $@ $^

$(FUZZERS): $(FZ)/%: %.c $(FZ)/libsluice.a
	@mkdir -p $(@D)
	$(Q)$(FUZZ_CC) -fsanitize=fuzzer,$(FUZZ_SAN) -MMD -MP $< $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(FUZZ_LIBS) -o $@

fuzz-build: $(FUZZERS)

fuzz: fuzz-build
	@scripts/fuzz $(FUZZ_SECONDS) $(FUZZERS)

# e2e/tools: the prober every test uses, and a small cnitool on Debian's libcni
build/e2e/slprobe: $(wildcard e2e/tools/tool.[ch] e2e/tools/probe/*.[ch])
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -D_GNU_SOURCE $(WARN) $(WERROR) -O2 $(filter %.c,$^) -lresolv -o $@

# GC and STATUS by libcni where it has them
GOCODE ?= /usr/share/gocode
LIBCNI_OTHER := $(if $(shell grep -s 'func.*GCNetworkList' $(GOCODE)/src/github.com/containernetworking/cni/libcni/api.go),older,newer)
build/e2e/cnirun: $(filter-out %/libcni_$(LIBCNI_OTHER).go,$(wildcard e2e/tools/cnirun/*.go))
	@mkdir -p $(@D)
	GO111MODULE=off GOPATH=$(GOCODE) GOCACHE=$(CURDIR)/build/e2e/gocache CGO_ENABLED=0 go build -o $@ $^

build/e2e/helmrender: $(wildcard e2e/tools/helmrender/*.go)
	@mkdir -p $(@D)
	GO111MODULE=off GOPATH=/usr/share/gocode GOCACHE=$(CURDIR)/build/e2e/gocache CGO_ENABLED=0 go build -o $@ $^

# static, so that it is small: what a parent holds counts in its children's peak
build/e2e/slmeter: $(wildcard e2e/tools/tool.[ch] e2e/tools/meter/*.[ch])
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -D_GNU_SOURCE $(WARN) $(WERROR) -O2 -static $(filter %.c,$^) -o $@

# one fault in one system call of a program; see e2e/faults
build/e2e/slinject: $(wildcard e2e/tools/inject/*.c e2e/tools/inject/*.h)
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -D_GNU_SOURCE $(WARN) $(WERROR) -O2 -static $(filter %.c,$^) -o $@

# the Kubernetes client on a command line
build/e2e/slkube: e2e/tools/kubewatch/main.c $(LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $< $(LIB) $(SANLD) $(LDFLAGS) $(LIBS_STATIC) $(LIBS_CURL) -o $@

e2e-tools: build/e2e/slprobe build/e2e/cnirun build/e2e/slmeter build/e2e/slinject build/e2e/slkube build/e2e/helmrender

# what one run of from_pod costs, and a large feed: worlds of the unit tests, for the benchmarks
build/e2e/from_pod build/e2e/feed: build/e2e/%: e2e/bench/%.c $(LIB) $(TESTKIT)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $< $(TESTKIT) $(LIB) $(SANLD) $(LDFLAGS) -lcmocka $(LIBS_STATIC) $(LIBS_NFT) $(LIBS_CRYPTO) $(LIBS_CURL) $(LIBS_HTTP) -o $@

# what a large list of the Kubernetes API costs; a server that answers with recorded ones
build/e2e/kube_list build/e2e/kube_replay: build/e2e/%: e2e/bench/%.c $(LIB) $(FAKE_API) $(TESTKIT)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $< $(FAKE_API) $(TESTKIT) $(LIB) $(SANLD) $(LDFLAGS) -lcmocka $(LIBS_STATIC) $(LIBS_NFT) $(LIBS_CRYPTO) $(LIBS_CURL) -lssl -o $@

bench-tools: e2e-tools build/e2e/from_pod build/e2e/feed build/e2e/kube_list build/e2e/kube_replay

e2e: all e2e-tools
	@scripts/e2e $(E2E)

check:
	@scripts/check

check-full:
	@scripts/check --full

# the data path on Debian's kernels, in virtual machines
check-kernels: all e2e-tools
	@scripts/install-deps --full
	@e2e/kernels/run

# when the alerts of conf/dashboards fire, as promtool says
alerts:
	@scripts/install-deps --full
	@scripts/alerts

# every system call of every verb and of the daemon, every fault: about an hour
faults: all e2e-tools
	@e2e/faults/run $(FAULTS); r=$$?; $(if $(FAULTS),,e2e/faults/powercut || r=1;) exit $$r

# the container image, built from Debian's packages and tried; some minutes, needs the mirrors
image-check:
	@e2e/image/check $(IMAGE)

# 32 pods that come and go all at once, for five minutes
soak: all e2e-tools
	@e2e/faults/soak $(SOAK)

# one daemon before 100,000 pods and 10,000 policies of a real API server: some minutes, 3 GB of memory
scale: all e2e-tools build/e2e/kube_replay
	@SLUICE_E2E_FULL=1 KUBE_SIZE=3g SCALE_PODS=100000 SCALE_POLICIES=10000 bats e2e/scale.bats

# the membership of gateways in a world of its own time: 100,000 worlds, a few minutes
SIM_SEEDS ?= 100000
sim: $(B)/pkg/gateway/members_sim_test
	@SIM_SEEDS=$(SIM_SEEDS) $<

# how long nobody answers: FAILOVER crashes of each kind at INTERVAL, twenty planned moves; half an hour
failover: all e2e-tools
	@e2e/gateways/failover --repeat $(or $(FAILOVER),50) $(INTERVAL:%=--interval %) $(KIND)

# sixteen gateways, a thousand addresses: heartbeats' cost, time until the addresses of the dead are claimed
many-gateways: all e2e-tools
	@e2e/gateways/many $(MANY)

# four gateways that die, return, are drained at random for ten minutes
soak-gateways: all e2e-tools
	@e2e/gateways/soak $(SOAK)

bench:
	@scripts/bench

bench-quick:
	@scripts/bench --quick

demo:
	@scripts/demo

lint:
	@scripts/lint

deps:
	@scripts/install-deps

MAN  = $(wildcard conf/man/*.[158])
UNIT = $(wildcard conf/*.service)
NETD = $(wildcard conf/*networkd.conf)
# A plugin that is being run must be replaced by rename (ETXTBSY).
install: all
	install -d $(DESTDIR)$(CNI_BIN_DIR) $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/bin
	install -m 755 $(BIN)/sluice $(DESTDIR)$(CNI_BIN_DIR)/.sluice.new
	mv -f $(DESTDIR)$(CNI_BIN_DIR)/.sluice.new $(DESTDIR)$(CNI_BIN_DIR)/sluice
	install -m 755 $(BIN)/sluiced $(DESTDIR)$(PREFIX)/sbin/.sluiced.new
	mv -f $(DESTDIR)$(PREFIX)/sbin/.sluiced.new $(DESTDIR)$(PREFIX)/sbin/sluiced
	install -m 755 $(BIN)/sluicectl $(DESTDIR)$(PREFIX)/bin/sluicectl
	install -m 755 $(BIN)/kubectl-sluice $(DESTDIR)$(PREFIX)/bin/kubectl-sluice
	@for page in $(MAN); do d=$(DESTDIR)$(PREFIX)/share/man/man$${page##*.}; \
		install -d $$d && install -m 644 $$page $$d/ || exit 1; done
	@for unit in $(UNIT); do d=$(DESTDIR)$(PREFIX)/lib/systemd/system; \
		install -d $$d && sed 's|/usr/local/|$(PREFIX)/|g' $$unit >$$d/$${unit##*/} || exit 1; done
	@for conf in $(NETD); do d=$(DESTDIR)$(PREFIX)/lib/systemd/networkd.conf.d; \
		install -d $$d && install -m 644 $$conf $$d/ || exit 1; done

uninstall:
	rm -f $(DESTDIR)$(CNI_BIN_DIR)/sluice $(DESTDIR)$(PREFIX)/sbin/sluiced \
		$(DESTDIR)$(PREFIX)/bin/sluicectl $(DESTDIR)$(PREFIX)/bin/kubectl-sluice
	@for page in $(MAN); do rm -f $(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$${page##*/}; done
	@for unit in $(UNIT); do rm -f $(DESTDIR)$(PREFIX)/lib/systemd/system/$${unit##*/}; done
	@for conf in $(NETD); do rm -f $(DESTDIR)$(PREFIX)/lib/systemd/networkd.conf.d/$${conf##*/}; done

clean:
	rm -rf build

-include $(OBJS:.o=.d) $(TESTKIT:.o=.d) $(FAKE_API:.o=.d) $(PLUGIN_OBJS:.o=.d) $(DAEMON_OBJS:.o=.d) $(KUBECTL_OBJS:.o=.d) $(CTL_OBJS:.o=.d) $(TESTS:%=%.d) $(FUZZ_OBJS:.o=.d) $(FUZZERS:%=%.d)
