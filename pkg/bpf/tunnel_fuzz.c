/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames into slu_to_tunnel and slu_from_tunnel in the kernel, with any mark and any
 * tunnel key, beside a reference that knows the documents only. The key comes to the
 * packet, and is read from it, by a program before theirs (fuzz_tunnel_key.bpf.c).
 */
#include <arpa/inet.h>
#include <netinet/ether.h>

#include "bpf/door.h"
#define bpf_map libbpf_map
#include "fuzz_tunnel_key.skel.h"
#undef bpf_map

#include "testkit/fuzz_frames.h"

static struct fuzz_tunnel_key_bpf *before; /* the program before the programs */
static int before_fd;

static void require(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "%s: %m\n", what);
		abort();
	}
}

static void own(const char *endpoint, uint32_t vni, uint32_t id)
{
	struct slu_owned_key key = {world_addr(endpoint), vni};

	require(bpf_map_set(world_pins(), BPF_MAP_OWNED, &key, &id, NULL) == 0, "owned");
}

static void lab(void)
{
	if (before)
		return;
	world();
	own("203.0.113.1", SLU_VNI_ADDRESS, 16);
	own("2001:db8:e::1", SLU_VNI_ADDRESS, 17);
	own(NODE_V4, REFERENCE_VNI, 18);
	before = fuzz_tunnel_key_bpf__open_and_load();
	require(before, "program before the programs");
	before_fd = bpf_program__fd(before->progs.with_key);
}

static void aim(enum bpf_prog prog)
{
	static enum bpf_prog now = BPF_PROG_COUNT;
	uint32_t zero = 0;
	int fd;

	if (prog == now)
		return;
	require(bpf_prog_fd(world_pins(), prog, &fd, NULL) == 0, "program");
	require(bpf_map_update_elem(bpf_map__fd(before->maps.program), &zero, &fd, 0) == 0, "aim");
	now = prog;
}

static void run(const struct packet *p, uint32_t mark, int repeat, struct world_run *ret)
{
	struct __sk_buff ctx = {.mark = mark};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = p->b, .data_size_in = (uint32_t)p->len,
		    .data_out = ret->b, .data_size_out = sizeof(ret->b), .ctx_in = &ctx,
		    .ctx_size_in = sizeof(ctx), .ctx_out = &ctx, .ctx_size_out = sizeof(ctx),
		    .repeat = repeat);

	before->bss->runs = 0;
	require(bpf_prog_test_run_opts(before_fd, &opts) == 0, "test run");
	ret->verdict = opts.retval;
	ret->mark = ctx.mark;
	ret->priority = ctx.priority;
}

/* The kernel has IPv4 in host order. */
static void key_give(const struct tunnel_key *k)
{
	struct bpf_tunnel_key *key = &before->bss->key;
	bool v4 = !k->local.w[0] && !k->local.w[1] && k->local.w[2] == htonl(0xffff);

	memset(key, 0, sizeof(*key));
	key->tunnel_id = k->vni;
	before->bss->six = v4 ? 0 : BPF_F_TUNINFO_IPV6;
	if (v4) {
		key->local_ipv4 = ntohl(k->remote.w[3]);
		key->remote_ipv4 = ntohl(k->local.w[3]);
	} else {
		memcpy(key->local_ipv6, &k->remote, 16);
		memcpy(key->remote_ipv6, &k->local, 16);
	}
}

static struct tunnel_key key_read(void)
{
	const struct bpf_tunnel_key *key = &before->bss->key;
	struct tunnel_key k = {.vni = key->tunnel_id};

	if (before->bss->six) {
		memcpy(&k.remote, key->local_ipv6, 16);
		memcpy(&k.local, key->remote_ipv6, 16);
	} else {
		k.remote.w[2] = k.local.w[2] = htonl(0xffff);
		k.remote.w[3] = htonl(key->local_ipv4);
		k.local.w[3] = htonl(key->remote_ipv4);
	}
	return k;
}

static bool agrees(const struct verdict *want, uint32_t mark, const struct world_run *r,
		   unsigned int reason)
{
	if (reason || want->reason)
		return reason == want->reason && r->verdict == TC_ACT_SHOT;
	return r->verdict == (uint32_t)TC_ACT_UNSPEC && r->mark == mark &&
	       r->priority == want->priority;
}

static bool key_same(const struct tunnel_key *a, const struct tunnel_key *b)
{
	return a->vni == b->vni && memcmp(&a->remote, &b->remote, 16) == 0 &&
	       memcmp(&a->local, &b->local, 16) == 0;
}

/*
 * The kernel has one key for all packets of a CPU that were just given one: another
 * program of this machine may come in between, but not every time.
 */
static bool leaves_with(const struct packet *p, uint32_t mark, const struct tunnel_key *want)
{
	struct world_run r;
	bool same = false;

	for (int i = 0; i < 10 && !same; i++) {
		struct tunnel_key key;

		run(p, mark, 2, &r);
		key = key_read();
		same = !before->bss->found && key_same(&key, want);
	}
	return same;
}

static void to_tunnel(uint32_t mark, const struct packet *p)
{
	struct tunnel_key want_key = {0};
	struct verdict want = reference_to_tunnel(mark, p->b, &want_key);
	struct world_run r;
	struct ether_addr sender;
	unsigned int reason;

	aim(BPF_PROG_TO_TUNNEL);
	before->bss->give = 0;
	run(p, mark, 1, &r);
	reason = counted();
	if (!agrees(&want, 0, &r, reason))
		disagree("to_tunnel", p, &want, &r, reason);
	if (reason)
		return;
	if (memcmp(r.b + 6, ether_aton_r("02:53:4c:55:00:02", &sender), 6) != 0)
		disagree("sender's MAC", p, &want, &r, reason);
	if (!leaves_with(p, mark, &want_key))
		disagree("key", p, &want, &r, reason);
}

static void from_tunnel(const struct tunnel_key *key, const struct packet *p)
{
	struct verdict want = reference_from_tunnel(key, p->b, p->len);
	struct world_run r;
	unsigned int reason;
	bool agreed = false;

	aim(BPF_PROG_FROM_TUNNEL);
	before->bss->give = key != NULL;
	for (int i = 0; i < 10 && !agreed; i++) { /* as above */
		if (key)
			key_give(key);
		run(p, ENTRY_MARK, 1, &r);
		reason = counted();
		agreed = agrees(&want, want.mark | FOREIGN_MARK, &r, reason);
	}
	if (!agreed)
		disagree("from_tunnel", p, &want, &r, reason);
}

static struct tunnel_key key_make(struct script *s)
{
	static const char *const ends[2][8] = {
		{PEER_V4, PEER_V4, PEER_V4, NODE_V4, "10.0.0.77", "203.0.113.1", "203.0.113.99",
		 "127.0.0.1"},
		{PEER_V6, PEER_V6, PEER_V6, NODE_V6, "fd00::77", "2001:db8:e::1", "2001:db8:e::9",
		 "::1"},
	};
	static const uint32_t vnis[] = {SLU_VNI_ADDRESS, SLU_VNI_ADDRESS, REFERENCE_VNI, 0x77};
	uint8_t six = script_byte(s) & 1, remote = script_byte(s) % 8, local = script_byte(s) % 8;

	return (struct tunnel_key){world_addr(ends[six][remote]), world_addr(ends[six][local]),
				   vnis[script_byte(s) % 4]};
}

/* Ids around those that the world has, with and without DIVERT; now and then any mark. */
static uint32_t mark_make(struct script *s)
{
	uint32_t kind = script_byte(s), id = script_byte(s) % 32;

	if (kind % 8 == 0)
		return kind << 24 | id << 16 | (uint32_t)script_byte(s) << 8;
	return (kind & 1 ? WORLD_DIVERT : 0) | world_mark(id) | (kind & 0x70);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script s = {data, size};
	uint8_t way = script_byte(&s) % 16;
	struct tunnel_key key;
	uint32_t mark;
	struct packet p;

	lab();
	key = key_make(&s);
	mark = mark_make(&s);
	frame_make_inner(&s, &p);
	if (!can_run(&p))
		return 0;
	if (way < 5)
		to_tunnel(mark, &p);
	else
		from_tunnel(way < 15 ? &key : NULL, &p);
	return 0;
}
