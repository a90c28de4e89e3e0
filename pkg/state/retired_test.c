/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "state/journal.h"
#include "state/retired.h"
#include "testkit/netns_fixture.h"

static char dir[64], state_dir[96], run_dir[96];
static struct err e;

static int setup(void **state)
{
	snprintf(dir, sizeof(dir), "/tmp/retired-test-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(state_dir, sizeof(state_dir), "%s/state", dir);
	snprintf(run_dir, sizeof(run_dir), "%s/run", dir);
	return 0;
}

static int teardown(void **state)
{
	sh("rm -rf %s", dir);
	return 0;
}

static void used(void)
{
	sh("mkdir -p %s/attachments %s/locks", state_dir, run_dir);
	sh("cd %s && touch snapshot ids.json last-good.log counters.json attachments/a:eth0.json",
	   state_dir);
	sh("cd %s && touch sluiced.sock sluiced.lock locks/a:eth0 locks/node", run_dir);
}

static void is_said_by_a_file_that_can_be_made_and_removed(void **state)
{
	assert_false(retired_get(state_dir));
	expect_ok(retired_store(state_dir, false, &e), &e);
	expect_ok(retired_store(state_dir, true, &e), &e);
	assert_true(retired_get(state_dir));
	expect_ok(retired_store(state_dir, true, &e), &e);
	expect_ok(retired_store(state_dir, false, &e), &e);
	assert_false(retired_get(state_dir));
}

static const char *netns = "/proc/self/ns/net";

static void put_record(const char *name, enum attach_kind kind, uint32_t ifindex, const char *boot)
{
	struct record rec = {.container_id = (char[]){"c"},
			     .ifname = (char[]){"eth0"},
			     .network = (char[]){"n"},
			     .namespace = (char[]){"default"},
			     .pod = (char[]){"p"},
			     .kind = kind,
			     .ifindex = ifindex};
	__cleanup_free char *path = mem_printf("%s/attachments/%s.json", state_dir, name);
	__cleanup_free char *text = NULL;
	FILE *f = fopen(path, "w");

	rec.boot_id = mem_strdup(boot);
	rec.netns = mem_strdup(netns);
	text = record_emit(&rec);
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	free(rec.boot_id);
	free(rec.netns);
}

static void a_record_of_a_pod_that_is_gone_is_no_pod(void **state)
{
	size_t n;

	sh("mkdir -p %s/attachments", state_dir);
	put_record("here", ATTACH_VETH, 1, journal_boot_id()); /* lo */
	put_record("gone", ATTACH_VETH, 0x7ffffff0, journal_boot_id());
	put_record("before", ATTACH_VETH, 1, "another boot");
	put_record("none", ATTACH_NONE, 0, journal_boot_id());
	put_record("its own index", ATTACH_MACVLAN, 0x7ffffff0, journal_boot_id());
	netns = "/nonexistent/ns";
	put_record("left", ATTACH_NONE, 0, journal_boot_id());
	expect_ok(state_count_pods(state_dir, &n, &e), &e);
	assert_int_equal(n, 3);
	expect_ok(state_count_pods("/nonexistent", &n, &e), &e);
	assert_int_equal(n, 0);
}

static void clearing_leaves_what_pods_of_before_need(void **state)
{
	size_t n;

	used();
	expect_ok(retired_store(state_dir, true, &e), &e);
	expect_ok(state_count_pods(state_dir, &n, &e), &e);
	assert_int_equal(n, 1);
	expect_ok(state_clear(state_dir, run_dir, false, &e), &e);
	sh("test \"$(ls %s | xargs)\" = 'attachments uninstalled'", state_dir);
	sh("test -e %s/attachments/a:eth0.json", state_dir);
}

static void clearing_all_leaves_nothing_but_what_is_not_ours(void **state)
{
	used();
	expect_ok(state_clear(state_dir, run_dir, true, &e), &e);
	sh("test ! -e %s && test ! -e %s", state_dir, run_dir);
	used();
	sh("touch %s/mine", state_dir);
	expect_ok(state_clear(state_dir, run_dir, true, &e), &e);
	sh("test \"$(ls %s)\" = mine", state_dir);
	expect_ok(state_clear("/nonexistent/a", "/nonexistent/b", true, &e), &e);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(is_said_by_a_file_that_can_be_made_and_removed),
		T(a_record_of_a_pod_that_is_gone_is_no_pod),
		T(clearing_leaves_what_pods_of_before_need),
		T(clearing_all_leaves_nothing_but_what_is_not_ours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
