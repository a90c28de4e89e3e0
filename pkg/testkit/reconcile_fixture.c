/* SPDX-License-Identifier: Apache-2.0 */
#include "testkit/reconcile_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "bpf/tree.h"
#include "reconcile/priv.h"
#include "state/journal.h"
#include "testkit/netns_fixture.h"

static struct reconcile *node;
static struct daemon_conf conf;
static struct err last;
static bool mounted;

static void text_set(char **field, const char *value)
{
	free(*field);
	*field = mem_strdup(value);
}

static void mounts_make(void)
{
	if (!mounted) {
		mounts_fresh();
		assert_int_equal(mount("none", "/run", "tmpfs", 0, NULL), 0);
		mounted = true;
	}
	assert_int_equal(mount("none", RNODE, "tmpfs", 0, NULL), 0);
	sh("mkdir -p /run/netns " RNODE "/policies " RNODE "/bpf");
	assert_int_equal(mount("bpf", RNODE "/bpf", "bpf", 0, "mode=0700"), 0);
}

static void links_make(void)
{
	sh("ip netns add peer");
	sh("ip link add eth0 type veth peer name eth0 netns peer");
	sh("ip -n peer link set lo up && ip -n peer link set eth0 up && ip link set eth0 up");
	sh("ip addr add 192.0.2.1/24 dev eth0 && ip addr add 2001:db8::1/64 dev eth0 nodad");
	sh("ip -n peer addr add 192.0.2.2/24 dev eth0");
	sh("ip -n peer addr add 2001:db8::2/64 dev eth0 nodad");
}

static void node_open(void)
{
	expect_ok(reconcile_new(&conf, &node, &last), &last);
}

int rnode_setup(void **state)
{
	netns_fresh();
	mounts_make();
	links_make();
	daemon_conf_init(&conf);
	text_set(&conf.node_name, "n1");
	text_set(&conf.policy_dir, RNODE "/policies");
	text_set(&conf.state_dir, RNODE "/state");
	text_set(&conf.run_dir, RNODE "/run");
	text_set(&conf.bpffs, RNODE "/bpf");
	node_open();
	return 0;
}

int rnode_teardown(void **state)
{
	reconcile_free(node);
	node = NULL;
	daemon_conf_done(&conf);
	if (mounted && geteuid() == 0) {
		sh("ip -all netns del");
		umount2(RNODE "/bpf", MNT_DETACH);
		umount2(RNODE, MNT_DETACH);
	}
	return 0;
}

struct reconcile *rnode(void)
{
	return node;
}

struct daemon_conf *rnode_conf(void)
{
	return &conf;
}

void rnode_restart(void)
{
	reconcile_free(node);
	node = NULL;
	node_open();
}

int rnode_pass(void)
{
	int r;

	do {
		last = (struct err){0};
		r = reconcile_pass(node, &last);
	} while (r > 0);
	return r;
}

size_t rnode_changes(void)
{
	return node->changes;
}

const char *rnode_error(void)
{
	return last.msg;
}

void rnode_settle(void)
{
	expect_ok(rnode_pass(), &last);
	expect_ok(rnode_pass(), &last);
	assert_int_equal(rnode_changes(), 0);
}

void rnode_policy(const char *name, const char *yaml)
{
	__cleanup_free char *path = mem_printf(RNODE "/policies/%s", name);
	__cleanup_free char *fresh = mem_printf(RNODE "/policies/.%s.new", name);
	__cleanup_file FILE *f = NULL;

	if (!yaml) {
		assert_int_equal(unlink(path), 0);
		return;
	}
	f = fopen(fresh, "w");
	assert_non_null(f);
	assert_true(fputs(yaml, f) >= 0);
	assert_int_equal(fflush(f), 0);
	assert_int_equal(rename(fresh, path), 0);
}

void rnode_cluster(const char *gateway_node)
{
	__cleanup_free char *yaml = mem_printf(
		"apiVersion: sluice.dev/v1alpha1\n"
		"kind: SluiceConfig\n"
		"metadata: {name: default}\n"
		"spec: {clusterCIDRs: [10.244.0.0/16, \"fd00:244::/32\"]}\n"
		"---\n"
		"apiVersion: v1\n"
		"kind: Node\n"
		"metadata: {name: n1, labels: {n: n1}}\n"
		"status: {addresses: [{type: InternalIP, address: 192.0.2.1}]}\n"
		"---\n"
		"apiVersion: v1\n"
		"kind: Node\n"
		"metadata: {name: n2, labels: {n: n2}}\n"
		"status: {addresses: [{type: InternalIP, address: 192.0.2.2}]}\n"
		"---\n"
		"apiVersion: sluice.dev/v1alpha1\n"
		"kind: EgressGateway\n"
		"metadata: {name: office}\n"
		"spec:\n"
		"  addresses: [{range: 192.0.2.50}, {range: \"2001:db8::50\"}]\n"
		"  nodeSelector: {matchLabels: {n: %s}}\n"
		"  allowedNamespaces: {}\n",
		gateway_node);

	rnode_policy("00-cluster.yaml", yaml);
}

/* ---- pods ---- */

static struct journal *journal(void)
{
	struct journal *j = NULL;

	expect_ok(journal_open(conf.state_dir, conf.run_dir, &j, &last), &last);
	return j;
}

static void record_fill(struct record *rec, const char *name, int addr, const char *labels)
{
	char path[128], ip[32];
	struct stat st;

	snprintf(path, sizeof(path), "/run/netns/%s", name);
	snprintf(ip, sizeof(ip), "10.244.1.%d", addr);
	assert_int_equal(stat(path, &st), 0);
	rec->container_id = mem_strdup(name);
	rec->ifname = mem_strdup("eth0");
	rec->network = mem_strdup("test");
	rec->netns = mem_strdup(path);
	rec->netns_id = st.st_ino;
	rec->namespace = mem_strdup("default");
	rec->pod = mem_strdup(name);
	rec->uid = mem_strdup("");
	rec->labels = mem_strdup(labels);
	rec->kind = ATTACH_VETH;
	rec->mac[0] = 2;
	rec->mac[5] = (uint8_t)addr;
	assert_int_equal(addr_parse(ip, &rec->addrs[0]), 0);
	rec->n_addrs = 1;
	rec->boot_id = mem_strdup(journal_boot_id());
	rec->added_at = time(NULL);
}

uint32_t rnode_pod(const char *name, int addr, const char *labels)
{
	struct record *rec = mem_alloc0(sizeof(*rec));
	struct journal *j = journal();
	uint32_t ifindex;
	char host[16];

	sh("ip netns add %s", name);
	sh("ip link add veth-%s type veth peer name eth0 netns %s", name, name);
	sh("ip link set veth-%s up && ip -n %s link set eth0 up", name, name);
	snprintf(host, sizeof(host), "veth-%s", name);
	record_fill(rec, name, addr, labels);
	rec->ifindex = ifindex = ifindex_of(host);
	memcpy(rec->host_ifname, host, sizeof(host));
	expect_ok(journal_store(j, rec, &last), &last);
	record_free(rec);
	journal_close(j);
	return ifindex;
}

void rnode_pod_age(const char *name, int seconds)
{
	struct journal *j = journal();
	struct record *rec = NULL;

	expect_ok(journal_load(j, name, "eth0", &rec, &last), &last);
	rec->added_at -= seconds;
	expect_ok(journal_store(j, rec, &last), &last);
	record_free(rec);
	journal_close(j);
}

bool rnode_record(const char *name)
{
	struct journal *j = journal();
	struct record *rec = NULL;
	int r = journal_load(j, name, "eth0", &rec, NULL);

	record_free(rec);
	journal_close(j);
	return r == 0;
}

/* ---- what is in the maps ---- */

static struct bpf_pins *pins(void)
{
	struct bpf_pins *p = NULL;

	expect_ok(bpf_pins_open(conf.bpffs, &p, &last), &last);
	return p;
}

bool rnode_map_get(enum bpf_map map, const void *key, void *value)
{
	struct bpf_pins *p = pins();
	int r = bpf_map_lookup(p, map, key, value, NULL);

	bpf_pins_close(p);
	return r == 0;
}

bool rnode_entry(uint32_t ifindex, struct slu_pod *ret)
{
	return rnode_map_get(BPF_MAP_PODS, &ifindex, ret);
}

struct slu_egress rnode_egress(uint32_t id)
{
	struct slu_egress v = {0};

	assert_true(rnode_map_get(BPF_MAP_ADDRS, &id, &v));
	return v;
}

/* The class of its own destinations, as slu_judge finds it. */
static struct slu_cell cell_find(uint32_t policy, struct addr dst, struct slu_policy *ret)
{
	__cleanup_free struct tree_interval *v = NULL;
	struct bpf_pins *p = pins();
	struct slu_range range;
	size_t n = 0, at = 0;

	expect_ok(bpf_map_lookup(p, BPF_MAP_POLICIES, &policy, ret, &last), &last);
	assert_int_equal(tree_read(bpf_tree_node, p, ret->root, &v, &n), 0);
	while (at + 1 < n && addr_cmp(v[at + 1].first, dst) <= 0)
		at++;
	expect_ok(bpf_map_read(p, BPF_MAP_RANGES, v[at].value, &range, 1, &last), &last);
	bpf_pins_close(p);
	assert_int_equal(range.lo, 1); /* the tests' policies name no ports */
	return range.cell;
}

static struct slu_rule rule_get(const struct slu_policy *policy, uint32_t rule)
{
	uint32_t at = policy->first_rule + rule;
	struct slu_rule v;

	assert_true(rule < policy->n_rules);
	assert_true(rnode_map_get(BPF_MAP_RULES, &at, &v));
	return v;
}

static uint32_t cell_verdict(const struct slu_policy *policy, const struct slu_cell *c)
{
	for (int i = 0; i < SLU_STEPS; i++) {
		uint8_t action = c->verdict[i] == SLU_NO_RULE
					 ? SLU_PASS
					 : rule_get(policy, c->verdict[i]).action;

		if (action != SLU_PASS)
			return action;
	}
	return SLU_ALLOW;
}

uint32_t rnode_decision(uint32_t policy, const char *dst, uint32_t *ret_address_id)
{
	struct slu_identity identity = {0};
	struct slu_policy v;
	struct slu_cell c;
	struct addr a;
	uint32_t slot, family;

	assert_int_equal(addr_parse(dst, &a), 0);
	c = cell_find(policy, a, &v);
	slot = c.identity == SLU_NO_RULE ? 0 : rule_get(&v, c.identity).identity;
	family = addr_is_v4(a) ? 0 : 1;
	*ret_address_id = 0;
	if (slot) {
		assert_true(rnode_map_get(BPF_MAP_IDENTITIES, &slot, &identity));
		assert_int_equal(identity.n[family], 1);
		assert_true(rnode_map_get(BPF_MAP_PICKS, &identity.first[family], ret_address_id));
	}
	return cell_verdict(&v, &c);
}
