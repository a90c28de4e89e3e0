/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bpf/door.h"
#include "bpf/loader.h"
#include "testkit/bpf_fixture.h"
#include "testkit/netns_fixture.h"

#define DIR  "/tmp/loader"
#define PINS DIR ABI_FOLDER

static uint32_t prog_id(const char *dir, enum bpf_prog prog)
{
	struct bpf_pins *p;
	struct err e = {};
	uint32_t id = 0;

	expect_ok(bpf_pins_open(dir, &p, &e), &e);
	expect_ok(bpf_prog_id(p, prog, &id, &e), &e);
	bpf_pins_close(p);
	return id;
}

static void says_that_nothing_is_loaded(void **state)
{
	struct bpf_pins *p = NULL;
	struct err e = {};

	world();
	expect_rc(bpf_pins_open("/tmp/nowhere", &p, &e), -ENOENT, &e);
	assert_null(p);
	assert_non_null(strstr(e.msg, "/tmp/nowhere" ABI_FOLDER));
	assert_non_null(strstr(e.msg, "is sluiced running?"));
	expect_ok(bpf_unload("/tmp/nowhere", &e), &e);
}

static void says_to_others_than_root_what_they_lack(void **state)
{
	struct bpf_pins *p = NULL;
	struct err e = {};
	int r;

	world();
	sh("mkdir -p -m 700 /tmp/closed");
	assert_int_equal(setresuid(65534, 65534, 0), 0); /* access() asks for the real one */
	r = bpf_pins_open("/tmp/closed", &p, &e);
	assert_int_equal(setresuid(0, 0, 0), 0);
	expect_rc(r, -EACCES, &e);
	assert_null(strstr(e.msg, "not loaded")); /* that nobody knows */
	assert_non_null(strstr(e.msg, "(run as root)"));
}

static void loads_once_and_only_once(void **state)
{
	struct err e = {};
	uint32_t id;

	world();
	expect_ok(bpf_load(DIR, &e), &e);
	id = prog_id(DIR, BPF_PROG_FROM_POD);
	expect_ok(bpf_load(DIR, &e), &e);
	assert_int_equal(prog_id(DIR, BPF_PROG_FROM_POD), id);
}

/* The table in README.md; the verifier gives up at a million. */
static void no_program_asks_much_of_the_verifier(void **state)
{
	struct bpf_pins *p;
	struct err e = {};

	world();
	expect_ok(bpf_load(DIR, &e), &e);
	expect_ok(bpf_pins_open(DIR, &p, &e), &e);
	for (enum bpf_prog i = 0; i < BPF_PROG_COUNT; i++) {
		struct bpf_prog_info info = {};
		uint32_t len = sizeof(info);
		int fd;

		expect_ok(bpf_prog_fd(p, i, &fd, &e), &e);
		assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &len), 0);
		print_message("| `%s` | %zu | %u |\n", bpf_prog_name(i),
			      info.xlated_prog_len / sizeof(struct bpf_insn), info.verified_insns);
		assert_in_range(info.verified_insns, 1, 100000);
	}
	bpf_pins_close(p);
}

static void replaces_programs_and_keeps_maps(void **state)
{
	uint32_t value = 7, id, zero = 0;
	struct slu_addr key = world_addr("192.0.2.9");
	struct bpf_pins *p;
	struct err e = {};

	world();
	expect_ok(bpf_load(DIR, &e), &e);
	id = prog_id(DIR, BPF_PROG_MACVLAN_INGRESS);
	expect_ok(bpf_pins_open(DIR, &p, &e), &e);
	expect_ok(bpf_map_set(p, BPF_MAP_SENDERS, &key, &value, &e), &e);
	expect_ok(bpf_map_set(p, BPF_MAP_CONFIG, &zero, &(struct slu_config){.tunnel_port = 1}, &e),
		  &e);
	sh("bpftool map update pinned " PINS "/build key 0 0 0 0 value 1 0 0 0 0 0 0 0");
	expect_ok(bpf_load(DIR, &e), &e);
	assert_int_not_equal(prog_id(DIR, BPF_PROG_MACVLAN_INGRESS), id);
	value = 0;
	expect_ok(bpf_map_lookup(p, BPF_MAP_SENDERS, &key, &value, &e), &e);
	assert_int_equal(value, 7);
	bpf_pins_close(p);
}

static void changes_only_what_is_there(void **state)
{
	uint32_t value = 7;
	struct slu_addr key = world_addr("192.0.2.10");
	struct bpf_pins *p;
	struct err e = {};

	world();
	expect_ok(bpf_load(DIR, &e), &e);
	expect_ok(bpf_pins_open(DIR, &p, &e), &e);
	assert_int_equal(bpf_map_change(p, BPF_MAP_SENDERS, &key, &value, &e), -ENOENT);
	assert_int_equal(bpf_map_lookup(p, BPF_MAP_SENDERS, &key, &value, &e), -ENOENT);
	expect_ok(bpf_map_set(p, BPF_MAP_SENDERS, &key, &value, &e), &e);
	value = 8;
	expect_ok(bpf_map_change(p, BPF_MAP_SENDERS, &key, &value, &e), &e);
	value = 0;
	expect_ok(bpf_map_lookup(p, BPF_MAP_SENDERS, &key, &value, &e), &e);
	assert_int_equal(value, 8);
	bpf_pins_close(p);
}

static void repairs_a_pin_that_was_removed(void **state)
{
	struct err e = {};

	world();
	expect_ok(bpf_load(DIR, &e), &e);
	assert_int_equal(unlink(PINS "/slu_to_tunnel"), 0);
	expect_ok(bpf_load(DIR, &e), &e);
	assert_int_not_equal(prog_id(DIR, BPF_PROG_TO_TUNNEL), 0);
	assert_int_equal(unlink(PINS "/nodes"), 0);
	assert_int_equal(access(PINS "/nodes", F_OK), -1);
	expect_ok(bpf_load(DIR, &e), &e);
	assert_int_equal(access(PINS "/nodes", F_OK), 0);
}

static void repairs_after_a_load_that_died_halfway(void **state)
{
	struct err e = {};

	world();
	expect_ok(bpf_load(DIR, &e), &e);
	sh("bpftool map update pinned " PINS "/build key 0 0 0 0 value 0 0 0 0 0 0 0 0");
	assert_int_equal(rename(PINS "/slu_to_tunnel", PINS "/slu_to_tunnel_new"), 0);
	expect_ok(bpf_load(DIR, &e), &e);
	assert_int_not_equal(prog_id(DIR, BPF_PROG_TO_TUNNEL), 0);
	assert_int_equal(access(PINS "/slu_to_tunnel_new", F_OK), -1);
}

static void refuses_a_pinned_map_of_another_shape(void **state)
{
	struct err e = {};

	world();
	expect_ok(bpf_unload(DIR, &e), &e);
	sh("mkdir -p " PINS);
	sh("mount -t bpf bpf " DIR " 2>/dev/null; mkdir -p " PINS);
	sh("bpftool map create " PINS "/owned type hash key 4 value 4 entries 1 name owned");
	assert_true(bpf_load(DIR, &e) < 0);
	if (!strstr(e.msg, "owned"))
		fail_msg("%s", e.msg);
	expect_ok(bpf_unload(DIR, &e), &e);
}

static void mounts_bpffs_and_leaves_nothing_behind(void **state)
{
	struct err e = {};
	struct stat st;

	world();
	expect_ok(bpf_load("/tmp/a/b/c", &e), &e);
	assert_int_equal(stat("/tmp/a/b/c" ABI_FOLDER "/config", &st), 0);
	expect_ok(bpf_unload("/tmp/a/b/c", &e), &e);
	assert_int_equal(stat("/tmp/a/b/c" ABI_FOLDER, &st), -1);
	assert_int_equal(mount("tmpfs", "/sys/fs/bpf", "tmpfs", 0, NULL), 0);
	expect_ok(bpf_load("/sys/fs/bpf/sluice-test", &e), &e);
	assert_int_equal(stat("/sys/fs/bpf/sluice-test" ABI_FOLDER "/config", &st), 0);
	expect_ok(bpf_unload("/sys/fs/bpf/sluice-test", &e), &e);
	assert_int_equal(stat("/sys/fs/bpf/sluice-test", &st), -1);
	umount2("/sys/fs/bpf", MNT_DETACH);
	umount2("/sys/fs/bpf", MNT_DETACH);
}

static void says_which_capabilities_are_missing(void **state)
{
	struct err e = {};

	world();
	sh("mkdir -p /tmp/caps && mount -t bpf bpf /tmp/caps");
	if (fork() == 0) {
		int rc = setresuid(65534, 65534, 65534) ? 0 : bpf_load("/tmp/caps", &e);

		_exit(rc == -EPERM || rc == -EACCES ? 0 : 1);
	}
	int status = 1;

	wait(&status);
	assert_int_equal(status, 0);
}

static void sets_looks_up_and_deletes(void **state)
{
	struct slu_node node = {.v4 = world_addr("10.9.9.9")}, got = {};
	uint32_t index = 9, ifindex = 77;
	struct slu_pod pod = world_pod_make(POD_GOVERNED, 3), pod_got;
	struct err e = {};

	world();
	expect_ok(bpf_map_set(world_pins(), BPF_MAP_NODES, &index, &node, &e), &e);
	expect_ok(bpf_map_lookup(world_pins(), BPF_MAP_NODES, &index, &got, &e), &e);
	assert_memory_equal(&got, &node, sizeof(node));
	expect_rc(bpf_map_lookup(world_pins(), BPF_MAP_PODS, &ifindex, &pod_got, &e), -ENOENT, &e);
	expect_ok(bpf_map_delete(world_pins(), BPF_MAP_PODS, &ifindex, &e), &e);
	expect_ok(bpf_map_set(world_pins(), BPF_MAP_PODS, &ifindex, &pod, &e), &e);
	expect_ok(bpf_map_lookup(world_pins(), BPF_MAP_PODS, &ifindex, &pod_got, &e), &e);
	assert_memory_equal(&pod_got, &pod, sizeof(pod));
	expect_ok(bpf_map_delete(world_pins(), BPF_MAP_PODS, &ifindex, &e), &e);
	expect_rc(bpf_map_lookup(world_pins(), BPF_MAP_PODS, &ifindex, &pod_got, &e), -ENOENT, &e);
}

/* More than one batch, of both kinds; every element once. */
static void dumps_hashes_whole(void **state)
{
	struct slu_pod pod = world_pod_make(POD_FREE, 0), *pods;
	uint8_t seen[4000] = {};
	struct err e = {};
	uint32_t *keys;
	size_t n;

	world();
	for (uint32_t i = 0; i < sizeof(seen); i++) {
		pod.spread = i * 3;
		expect_ok(bpf_map_set(world_pins(), BPF_MAP_PODS, &(uint32_t){1000 + i}, &pod, &e),
			  &e);
	}
	expect_ok(bpf_map_dump(world_pins(), BPF_MAP_PODS, (void **)&keys, (void **)&pods, &n, &e),
		  &e);
	for (size_t i = 0; i < n; i++) {
		if (keys[i] < 1000)
			continue;
		assert_int_equal(seen[keys[i] - 1000]++, 0);
		assert_int_equal(pods[i].spread, (keys[i] - 1000) * 3);
	}
	assert_null(memchr(seen, 0, sizeof(seen)));
	for (uint32_t i = 0; i < sizeof(seen); i++)
		bpf_map_delete(world_pins(), BPF_MAP_PODS, &(uint32_t){1000 + i}, &e);
	free(keys);
	free(pods);
}

static void dumps_empty_maps(void **state)
{
	void *keys = NULL, *values = NULL;
	struct err e = {};
	size_t n = 9;

	world();
	expect_ok(bpf_map_dump(world_pins(), BPF_MAP_OWNED, &keys, &values, &n, &e), &e);
	assert_int_equal(n, 0);
	free(keys);
	free(values);
	expect_ok(bpf_map_dump(world_pins(), BPF_MAP_POLICIES, &keys, &values, &n, &e), &e);
	assert_int_equal(n, 1);
	free(keys);
	free(values);
}

/* Across the borders of chunks and of the batches that the kernel is given. */
static void writes_and_reads_whole_tables(void **state)
{
	enum { MANY = 10000, FIRST = 3000 };
	struct slu_tree_node *nodes = calloc(MANY, sizeof(*nodes));
	struct slu_range *ranges = calloc(MANY, sizeof(*ranges)), *got = calloc(MANY, sizeof(*got));
	struct bpf_pins *other;
	struct err e = {};

	world();
	expect_ok(bpf_load(DIR, &e), &e);
	expect_ok(bpf_pins_open(DIR, &other, &e), &e);
	assert_null(bpf_tree_node(other, FIRST));
	for (uint32_t i = 0; i < MANY; i++) {
		nodes[i].value[3] = i;
		ranges[i].lo = i;
	}
	expect_ok(bpf_tree_write(other, FIRST, nodes, MANY, &e), &e);
	bpf_pins_close(other);
	expect_ok(bpf_pins_open(DIR, &other, &e), &e);
	for (uint32_t i = 0; i < MANY; i++)
		assert_memory_equal(bpf_tree_node(other, FIRST + i), &nodes[i], sizeof(*nodes));
	assert_int_equal(bpf_tree_node(other, FIRST - 1)->value[3], 0);
	assert_null(bpf_tree_node(other, 4 * SLU_CHUNK_NODES));
	assert_null(bpf_tree_node(other, UINT32_MAX));
	expect_rc(bpf_tree_write(other, SLU_MAX_CHUNKS * SLU_CHUNK_NODES - 1, nodes, 2, &e),
		  -ENOSPC, &e);
	for (uint32_t first = 0; first <= FIRST; first += FIRST) {
		expect_ok(bpf_map_write(other, BPF_MAP_RANGES, first, ranges, MANY, &e), &e);
		expect_ok(bpf_map_read(other, BPF_MAP_RANGES, first, got, MANY, &e), &e);
		assert_memory_equal(got, ranges, MANY * sizeof(*got));
	}
	expect_ok(bpf_map_write(other, BPF_MAP_RANGES, SLU_MAX_RANGES - 2, ranges, 2, &e), &e);
	expect_ok(bpf_map_read(other, BPF_MAP_RANGES, SLU_MAX_RANGES - 2, got, 2, &e), &e);
	expect_rc(bpf_map_read(other, BPF_MAP_RANGES, SLU_MAX_RANGES - 2, got, 3, &e), -ENOENT, &e);
	assert_true(bpf_map_write(other, BPF_MAP_RANGES, SLU_MAX_RANGES - 2, ranges, 3, &e) < 0);
	bpf_pins_close(other);
	free(got);
	free(ranges);
	free(nodes);
}

static void counts_the_epoch_up(void **state)
{
	uint32_t zero = 0, before, after;
	struct err e = {};

	world();
	expect_ok(bpf_map_lookup(world_pins(), BPF_MAP_EPOCH, &zero, &before, &e), &e);
	expect_ok(bpf_epoch_bump(world_pins(), &e), &e);
	expect_ok(bpf_map_lookup(world_pins(), BPF_MAP_EPOCH, &zero, &after, &e), &e);
	assert_int_equal(after, before + 1);
}

static void converts_addresses_and_prefixes(void **state)
{
	struct addr a = addr_from_v4("\x0a\x01\x02\x03");
	struct slu_addr s = slu_addr_make(a), expected = world_addr("10.1.2.3");
	struct slu_lpm_key key = slu_lpm_key_make(cidr_host(a));

	assert_memory_equal(&s, &expected, sizeof(s));
	assert_true(addr_eq(slu_addr_get(s), a));
	assert_int_equal(key.prefixlen, 128);
	assert_memory_equal(&key.addr, &expected, sizeof(expected));
}

static void names_every_reason(void **state)
{
	assert_string_equal(drop_reason_name(SLU_DROP_DENIED), "denied");
	assert_string_equal(drop_reason_name(SLU_DROP_INPUT_GUARD), "input-guard");
	assert_string_equal(drop_reason_name(0), "unknown");
	assert_string_equal(drop_reason_name(12), "unknown");
	assert_string_equal(drop_reason_name(1000), "unknown");
	assert_non_null(strstr(drop_reason_text(SLU_DROP_NO_OWNER), "no node owns"));
}

static void names_fit_the_kernel(void **state)
{
	for (int i = 0; i < BPF_PROG_COUNT; i++)
		assert_in_range(strlen(bpf_prog_name(i)), 1, 15);
	for (int i = 0; i < BPF_MAP_COUNT; i++)
		assert_in_range(strlen(bpf_map_name(i)), 1, 15);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_every_reason),
		cmocka_unit_test(names_fit_the_kernel),
		cmocka_unit_test(converts_addresses_and_prefixes),
		cmocka_unit_test(says_that_nothing_is_loaded),
		cmocka_unit_test(says_to_others_than_root_what_they_lack),
		cmocka_unit_test(loads_once_and_only_once),
		cmocka_unit_test(no_program_asks_much_of_the_verifier),
		cmocka_unit_test(replaces_programs_and_keeps_maps),
		cmocka_unit_test(changes_only_what_is_there),
		cmocka_unit_test(repairs_a_pin_that_was_removed),
		cmocka_unit_test(repairs_after_a_load_that_died_halfway),
		cmocka_unit_test(refuses_a_pinned_map_of_another_shape),
		cmocka_unit_test(mounts_bpffs_and_leaves_nothing_behind),
		cmocka_unit_test(says_which_capabilities_are_missing),
		cmocka_unit_test(sets_looks_up_and_deletes),
		cmocka_unit_test(dumps_hashes_whole),
		cmocka_unit_test(dumps_empty_maps),
		cmocka_unit_test(writes_and_reads_whole_tables),
		cmocka_unit_test(counts_the_epoch_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
