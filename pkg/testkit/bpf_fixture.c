/* SPDX-License-Identifier: Apache-2.0 */
#include "testkit/bpf_fixture.h"

#include <arpa/inet.h>
#include <linux/pkt_cls.h>
#include <netinet/ether.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "bpf/door.h"
#include "bpf/loader.h"
#include "testkit/netns_fixture.h"

#define FOREIGN_MARK 0x00001234u
#define ALL_OURS     SLU_MARK_MASK_DEFAULT
#define MARK_SHIFT   21
#define POLICY	     1

static struct bpf_pins *pins;

struct slu_addr world_addr(const char *text)
{
	struct slu_addr a = {.w = {0, 0, htonl(0xffff), 0}};

	if (inet_pton(AF_INET, text, &a.w[3]) != 1 && inet_pton(AF_INET6, text, &a) != 1)
		fail_msg("%s is no address", text);
	return a;
}

uint32_t world_mark(uint32_t id)
{
	return id << MARK_SHIFT;
}

uint32_t world_remote(int v6)
{
	return WORLD_DIVERT | world_mark(v6 ? 19 : 18);
}

static void set(enum bpf_map map, const void *key, const void *value)
{
	struct err e = {};

	expect_ok(bpf_map_set(pins, map, key, value, &e), &e);
}

static void set_at(enum bpf_map map, uint32_t index, const void *value)
{
	set(map, &index, value);
}

struct slu_lpm_key world_prefix(const char *addr, uint32_t len)
{
	struct slu_addr a = world_addr(addr);

	return (struct slu_lpm_key){strchr(addr, ':') ? len : len + 96, a};
}

static void inside_set(const char *addr, uint32_t len, uint32_t flags)
{
	struct slu_lpm_key key = world_prefix(addr, len);

	set(BPF_MAP_INSIDE, &key, &flags);
}

static void config_write(void)
{
	struct slu_config c = {
		.mark_mask = SLU_MARK_MASK_DEFAULT,
		.mark_shift = MARK_SHIFT,
		.divert = WORLD_DIVERT,
		.tunnel_port = SLU_TUNNEL_PORT_DEFAULT,
		.self_v4 = world_addr(NODE_V4),
		.self_v6 = world_addr(NODE_V6),
		.mac_sender = SLU_MAC_SENDER,
	};

	set_at(BPF_MAP_CONFIG, 0, &c);
	inside_set("10.0.0.0", 8, SLU_INSIDE_ALL | SLU_INSIDE_POD);
	inside_set("fd00::", 8, SLU_INSIDE_ALL | SLU_INSIDE_POD);
	inside_set("172.16.0.0", 12, SLU_INSIDE_ALL);
	inside_set("192.0.2.53", 32, SLU_INSIDE_DNS);
	inside_set(EXTERNAL_V4, 32, SLU_INSIDE_NODE);
	inside_set("2001:db8:53::53", 128, SLU_INSIDE_DNS);
}

static void addrs_write(void)
{
	static const struct {
		uint32_t id, state;
		const char *addr;
	} rows[] = {
		{16, SLU_ADDR_LOCAL, "203.0.113.1"},	{17, SLU_ADDR_LOCAL, "2001:db8:e::1"},
		{18, SLU_ADDR_REMOTE, "203.0.113.2"},	{19, SLU_ADDR_REMOTE, "2001:db8:e::2"},
		{20, SLU_ADDR_NO_OWNER, "203.0.113.3"}, {21, SLU_ADDR_NO_OWNER, "2001:db8:e::3"},
		{22, SLU_ADDR_FREE, "203.0.113.4"},	{24, SLU_ADDR_REMOTE, "203.0.113.5"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct slu_addr a = world_addr(rows[i].addr);
		struct slu_egress egress = {rows[i].state, SLU_VNI_ADDRESS, a, a};

		set_at(BPF_MAP_ADDRS, rows[i].id, &egress);
	}
}

/* picks[2 i] and [2 i + 1] for identity i, from 64 on for the spread one. */
static void identities_write(void)
{
	static const struct {
		uint16_t net, n;
		uint8_t none, or_node;
		uint32_t pick[2];
	} rows[] = {
		{NET_LOCAL, 1, 0, 0, {16, 17}},		 {NET_REMOTE, 1, 0, 0, {18, 19}},
		{NET_NO_OWNER, 1, 0, 0, {20, 21}},	 {NET_OR_NODE, 1, 0, 1, {20, 21}},
		{NET_FAMILY, 0, SLU_DROP_FAMILY, 0, {}}, {NET_NONE_OK, 0, SLU_OK, 0, {}},
		{NET_NO_PICK, 1, 0, 0, {0, 0}},		 {NET_FREE_ID, 1, 0, 0, {22, 22}},
	};
	static const uint32_t spread[] = {16, 18, 24};
	struct slu_identity who = {.first = {64, 64}, .n = {3, 3}};

	set_at(BPF_MAP_IDENTITIES, NET_SPREAD, &who);
	for (uint32_t i = 0; i < 3; i++)
		set_at(BPF_MAP_PICKS, 64 + i, &spread[i]);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint32_t first = rows[i].net * 2u;

		who = (struct slu_identity){
			.first = {first, first + 1},
			.n = {rows[i].n, rows[i].n},
			.none = {rows[i].none, rows[i].none},
			.or_node = rows[i].or_node,
		};
		set_at(BPF_MAP_IDENTITIES, rows[i].net, &who);
		set_at(BPF_MAP_PICKS, first, &rows[i].pick[0]);
		set_at(BPF_MAP_PICKS, first + 1, &rows[i].pick[1]);
	}
}

/* Rule NET of the policy is what NET says; POLICY's cells name it in the step of pods. */
static struct slu_cell cell_of(enum world_net net)
{
	bool plain = net == NET_AS_NODE || net == NET_DENIED || net == NET_REJECTED;

	return world_cell(1, net, plain ? SLU_NO_RULE : net);
}

static uint32_t class_of(enum world_net net)
{
	static const struct {
		uint32_t lo;
		enum world_net net;
	} rows[] = {
		{0, NET_AS_NODE},
		{1 << 16 | 8 << 8, NET_REMOTE},
		{1 << 16 | 9 << 8, NET_AS_NODE},
		{6 << 16 | 80, NET_DENIED},
		{6 << 16 | 90, NET_AS_NODE},
		{17 << 16, NET_DENIED},
		{17 << 16 | 53, NET_AS_NODE},
		{17 << 16 | 54, NET_DENIED},
		{18 << 16, NET_AS_NODE},
		{47 << 16, NET_DENIED},
		{48 << 16, NET_AS_NODE},
		{58 << 16 | 128 << 8, NET_REMOTE},
		{58 << 16 | 129 << 8, NET_AS_NODE},
		{132 << 16 | 9, NET_REJECTED},
		{132 << 16 | 10, NET_AS_NODE},
	};
	struct slu_range ranges[sizeof(rows) / sizeof(rows[0])];
	size_t n = sizeof(rows) / sizeof(rows[0]);

	if (net != NET_PORTS)
		return world_class_one(cell_of(net));
	for (size_t i = 0; i < n; i++)
		ranges[i] = (struct slu_range){rows[i].lo, cell_of(rows[i].net)};
	return world_class(ranges, n);
}

static uint32_t rules_write(void)
{
	struct slu_rule rules[NET_COUNT];

	for (int net = 0; net < NET_COUNT; net++) {
		rules[net] = (struct slu_rule){SLU_ALLOW, SLU_RULE_VIA, (uint16_t)net,
					       WORLD_COUNTER + (uint32_t)net};
		if (net == NET_AS_NODE || net == NET_DENIED || net == NET_REJECTED)
			rules[net].flags = 0;
	}
	rules[NET_DENIED].action = SLU_DENY;
	rules[NET_REJECTED].action = SLU_REJECT;
	return world_rules(rules, NET_COUNT);
}

static void policy_write(void)
{
	static const struct slu_range nothing = {
		1, {{0xffff, 0xffff, 0xffff, 0xffff, 0xffff}, 0xffff}};
	struct slu_policy policy = {.first_rule = rules_write(), .n_rules = NET_COUNT};
	struct world_prefix v[NET_COUNT * 2 + 5];
	size_t n = 0;
	char text[32];

	for (int net = 0; net < NET_COUNT; net++) {
		uint32_t class = class_of(net);

		snprintf(text, sizeof(text), "198.18.%d.0", net);
		v[n++] = (struct world_prefix){world_prefix(text, 24), class};
		snprintf(text, sizeof(text), "2001:db8:%x::", net);
		v[n++] = (struct world_prefix){world_prefix(text, 48), class};
	}
	v[n++] = (struct world_prefix){world_prefix("0.0.0.0", 0), class_of(NET_AS_NODE)};
	v[n++] = (struct world_prefix){world_prefix("::", 0), class_of(NET_AS_NODE)};
	v[n++] = (struct world_prefix){world_prefix("169.254.0.0", 16), class_of(NET_LOCAL)};
	v[n++] = (struct world_prefix){world_prefix("fe80::", 10), class_of(NET_LOCAL)};
	v[n++] = (struct world_prefix){world_prefix("169.254.169.254", 32), class_of(NET_DENIED)};
	set_at(BPF_MAP_RANGES, 0, &nothing);
	policy.root = world_tree(v, n);
	world_policy(POLICY, &policy);
}

static void nodes_write(void)
{
	struct slu_node peer = {world_addr(PEER_V4), world_addr(PEER_V6)};
	struct slu_node six = {.v6 = world_addr("fd00::3")};
	uint32_t index = 2;

	set_at(BPF_MAP_NODES, 2, &peer);
	set_at(BPF_MAP_NODES, 3, &six);
	set(BPF_MAP_SENDERS, &peer.v4, &index);
	set(BPF_MAP_SENDERS, &peer.v6, &index);
}

struct bpf_pins *world_load(void)
{
	struct bpf_pins *ret = NULL;
	struct err e = {};

	netns_fresh();
	mounts_fresh();
	assert_int_equal(mount("tmpfs", "/tmp", "tmpfs", 0, NULL), 0);
	expect_ok(bpf_load(WORLD_DIR, &e), &e);
	expect_ok(bpf_pins_open(WORLD_DIR, &ret, &e), &e);
	return ret;
}

void world(void)
{
	if (pins)
		return;
	pins = world_load();
	config_write();
	addrs_write();
	identities_write();
	nodes_write();
	policy_write();
}

struct bpf_pins *world_pins(void)
{
	return pins;
}

struct slu_pod world_pod_make(enum world_pod kind, uint32_t spread)
{
	static const struct {
		uint32_t policy, flags;
	} kinds[] = {
		[POD_FREE] = {0, 0},
		[POD_GOVERNED] = {POLICY, 0},
		[POD_QUARANTINED] = {0, SLU_POD_QUARANTINE},
		[POD_EXEMPT] = {POLICY, SLU_POD_NO_SOURCE_CHECK},
		[POD_EXEMPT_FREE] = {0, SLU_POD_NO_SOURCE_CHECK},
		[POD_WITHOUT_MAP] = {99, 0},
	};
	struct slu_pod pod = {
		.policy = kinds[kind].policy,
		.flags = kinds[kind].flags,
		.spread = spread,
		.naddr = 2,
		.addr = {world_addr(POD_V4), world_addr(POD_V6)},
	};

	memcpy(pod.mac, ether_aton(POD_MAC), sizeof(pod.mac));
	return pod;
}

void world_pod_set(enum world_pod kind, uint32_t spread)
{
	struct err e = {};
	uint32_t lo = 1;
	struct slu_pod pod;

	if (kind == POD_NONE) {
		expect_ok(bpf_map_delete(pins, BPF_MAP_PODS, &lo, &e), &e);
		return;
	}
	pod = world_pod_make(kind, spread);
	set(BPF_MAP_PODS, &lo, &pod);
}

void world_pod_kept(enum world_pod kind, uint32_t policy)
{
	struct slu_pod pod = world_pod_make(kind, 0);
	uint32_t lo = 1;

	pod.flags |= SLU_POD_KEEP;
	pod.policy = policy;
	set(BPF_MAP_PODS, &lo, &pod);
}

void world_keep(uint8_t proto, uint16_t sport, const char *dst, uint16_t dport, uint32_t id)
{
	const struct slu_flow f = {.local = world_addr(strchr(dst, ':') ? POD_V6 : POD_V4),
				   .remote = world_addr(dst),
				   .lport = htons(sport),
				   .rport = htons(dport),
				   .proto = proto};

	set(BPF_MAP_KEPT, &f, &id);
}

void world_frame(struct packet *p, const char *src, const char *dst)
{
	packet_eth(p, POD_MAC, GATEWAY_MAC, 0);
	packet_ip(p, src, dst);
}

void world_udp(struct packet *p, const char *src, const char *dst, uint16_t port)
{
	world_frame(p, src, dst);
	packet_udp(p, WORLD_UDP_SPORT, port, 10);
	packet_finish(p);
}

void world_net(enum world_net net, int v6, char buf[48])
{
	snprintf(buf, 48, v6 ? "2001:db8:%x::9" : "198.18.%d.9", (unsigned)net);
}

static void drops_read(struct slu_count *counts)
{
	struct err e = {};

	expect_ok(bpf_drops(pins, counts, &e), &e);
}

uint64_t world_drops(unsigned int reason)
{
	struct slu_count counts[SLU_REASON_MAX];

	drops_read(counts);
	return counts[reason].packets;
}

void world_drops_soon(unsigned int reason, uint64_t packets)
{
	for (int i = 0; i < 3000 && world_drops(reason) < packets; i++)
		usleep(10000);
}

static uint32_t run(enum bpf_prog prog, const struct packet *p, uint32_t repeat,
		    struct __sk_buff *ctx, struct world_run *ret)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = p->b, .data_size_in = (uint32_t)p->len,
		    .data_out = ret->b, .data_size_out = sizeof(ret->b), .ctx_in = ctx,
		    .ctx_size_in = sizeof(*ctx), .ctx_out = ctx, .ctx_size_out = sizeof(*ctx),
		    .repeat = (int)repeat);
	struct err e = {};
	int fd;

	expect_ok(bpf_prog_fd(pins, prog, &fd, &e), &e);
	if (bpf_prog_test_run_opts(fd, &opts))
		fail_msg("%s: test run: %m", bpf_prog_name(prog));
	ret->verdict = opts.retval;
	ret->mark = ctx->mark;
	ret->priority = ctx->priority;
	ret->len = opts.data_size_out;
	return opts.duration;
}

void world_run(enum bpf_prog prog, const struct packet *p, uint32_t mark, struct world_run *ret)
{
	struct __sk_buff ctx = {.mark = mark};

	run(prog, p, 1, &ctx, ret);
}

void world_probe(enum bpf_prog prog, const struct packet *p, struct world_run *ret)
{
	struct __sk_buff ctx = {.priority = SLU_PRIORITY_PROBE};

	run(prog, p, 1, &ctx, ret);
}

uint32_t world_time(enum bpf_prog prog, const struct packet *p, uint32_t mark, uint32_t repeat)
{
	struct __sk_buff ctx = {.mark = mark};
	struct world_run r;

	return run(prog, p, repeat, &ctx, &r);
}

uint32_t world_priority(uint32_t id)
{
	if (!id)
		return SLU_PRIORITY_SEEN;
	if (id & WORLD_DIVERT)
		return SLU_PRIORITY_TUNNEL;
	if (id >= SLU_ID_FIRST)
		return SLU_PRIORITY_LOCAL;
	return id == SLU_ID_CHECK ? SLU_PRIORITY_RELEASE : SLU_PRIORITY_VERDICT;
}

/* from_pod: DIVERT always, and a priority that says whether it is meant (abi.h); ARP is let alone
 */
static uint32_t priority_of(uint32_t mark)
{
	return mark == ALL_OURS ? 0
				: world_priority((mark & WORLD_DIVERT) |
						 (mark & ~WORLD_DIVERT) / world_mark(1));
}

/* Our bits are all set on entry, and foreign ones too: the first must go, the others stay. */
void world_expect_mark(enum bpf_prog prog, const struct packet *p, uint32_t mark, const char *what)
{
	uint32_t priority = prog == BPF_PROG_FROM_POD ? priority_of(mark) : 0;
	struct world_run r;

	world_run(prog, p, ALL_OURS | FOREIGN_MARK, &r);
	if (r.verdict != (uint32_t)TC_ACT_UNSPEC)
		fail_msg("%s: verdict %d", what, (int)r.verdict);
	if (prog == BPF_PROG_FROM_POD && mark)
		mark |= WORLD_DIVERT;
	if (r.mark != (mark | FOREIGN_MARK))
		fail_msg("%s: mark %#x, expected %#x", what, r.mark, mark | FOREIGN_MARK);
	if (r.priority != priority)
		fail_msg("%s: priority %#x, expected %#x", what, r.priority, priority);
}

void world_expect_drop(enum bpf_prog prog, const struct packet *p, unsigned int reason,
		       const char *what)
{
	struct slu_count before[SLU_REASON_MAX], after[SLU_REASON_MAX];
	struct world_run r;

	drops_read(before);
	world_run(prog, p, ALL_OURS | FOREIGN_MARK, &r);
	drops_read(after);
	for (unsigned int i = 0; i < SLU_REASON_MAX; i++) {
		uint64_t n = after[i].packets - before[i].packets;

		if (n != (i == reason))
			fail_msg("%s: %u packets counted as %s, expected %s", what, (unsigned)n,
				 drop_reason_name(i), drop_reason_name(reason));
		if (i == reason)
			assert_int_equal(after[i].bytes - before[i].bytes, p->len);
	}
	if (r.verdict != TC_ACT_SHOT)
		fail_msg("%s: verdict %d", what, (int)r.verdict);
}

void pod_passes(const struct packet *p, uint32_t mark, const char *what)
{
	world_expect_mark(BPF_PROG_FROM_POD, p, mark, what);
}

void pod_dropped(const struct packet *p, unsigned int reason, const char *what)
{
	world_expect_drop(BPF_PROG_FROM_POD, p, reason, what);
}

void pod_udp(const char *dst, uint32_t mark, const char *what)
{
	struct packet p;

	world_udp(&p, strchr(dst, ':') ? POD_V6 : POD_V4, dst, 443);
	pod_passes(&p, mark, what);
}
