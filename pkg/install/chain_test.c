/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "base/mem.h"
#include "install/chain.h"
#include "install/conflist.h"
#include "install/lists_fixture.h"

#define MAX_FILES 8

/* A folder, the entry, and what was written last, as one test has them. */
static struct world {
	struct chain_file files[MAX_FILES];
	struct chain_dir dir;
	struct json *entry, *fallback;
	char *last;
	bool settled;
	struct chain_plan plan;
} w;

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct chain_file *)a)->name, ((const struct chain_file *)b)->name);
}

static struct chain_file *find(const char *name)
{
	for (size_t i = 0; i < w.dir.n; i++)
		if (strcmp(w.files[i].name, name) == 0)
			return &w.files[i];
	return NULL;
}

static void gone(const char *name)
{
	struct chain_file *f = find(name);

	if (!f)
		return;
	free(f->name);
	free(f->text);
	*f = w.files[--w.dir.n];
	qsort(w.files, w.dir.n, sizeof(*w.files), by_name);
}

static void file(const char *name, const char *text)
{
	gone(name);
	w.files[w.dir.n] = (struct chain_file){.name = mem_strdup(name), .text = mem_strdup(text)};
	w.files[w.dir.n++].len = strlen(text);
	qsort(w.files, w.dir.n, sizeof(*w.files), by_name);
}

static void given(const char *text, struct json **ret)
{
	assert_int_equal(json_parse(text, strlen(text), ret, NULL), 0);
}

static int setup(void **state)
{
	memset(&w, 0, sizeof(w));
	w.dir.files = w.files;
	given("{\"type\":\"sluice\"}", &w.fallback);
	return 0;
}

static int teardown(void **state)
{
	while (w.dir.n)
		gone(w.files[0].name);
	json_free(w.entry);
	json_free(w.fallback);
	free(w.last);
	chain_plan_done(&w.plan);
	return 0;
}

static struct chain_in in(void)
{
	return (struct chain_in){
		.dir = &w.dir,
		.entry = w.entry,
		.fallback = w.fallback,
		.last = w.last,
		.settled = w.settled,
	};
}

static void plan(void)
{
	struct chain_in i = in();

	chain_plan_done(&w.plan);
	chain_plan(&i, &w.plan);
}

/* The plan is to write a copy of that file; and that is done. */
static void expect_written(const char *main)
{
	plan();
	if (!w.plan.text)
		fail_msg("nothing to write: %s", w.plan.why.msg);
	assert_string_equal(w.plan.main, main);
	file(CHAIN_FILE, w.plan.text);
	free(w.last);
	w.last = mem_strdup(w.plan.text);
}

/* The plan is to leave everything as it is; code 0: because it is right. */
static void expect_left(int code, const char *main)
{
	plan();
	if (w.plan.text)
		fail_msg("to be written: %s", w.plan.text);
	if (w.plan.why.code != code)
		fail_msg("%d: %s", w.plan.why.code, w.plan.why.msg);
	assert_string_equal(w.plan.main, main);
}

static void expect_verdict(bool in_force, const char *reason)
{
	struct chain_in i = in();
	struct chain_verdict v;

	chain_judge(&i, &v);
	if (v.in_force != in_force || strcmp(v.reason, reason) != 0)
		fail_msg("%d %s: %s", v.in_force, v.reason, v.message);
	assert_true(*v.message);
}

static void copies_the_first_list_and_then_has_nothing_to_do(void **state)
{
	file("20-other.conflist", FLANNEL);
	file("10-kindnet.conflist", KINDNET);
	expect_verdict(false, "Missing");
	expect_written("10-kindnet.conflist");
	expect_left(0, "10-kindnet.conflist");
	expect_verdict(true, "InForce");
}

static void writes_nothing_without_a_main_list(void **state)
{
	expect_left(-ENOENT, "");
	expect_verdict(false, "NoConfiguration");
	assert_false(w.plan.pending);
}

static void follows_what_the_main_cni_writes(void **state)
{
	file("10-calico.conflist", CALICO);
	expect_written("10-calico.conflist");
	file("10-calico.conflist", FLANNEL); /* another network name, too */
	expect_verdict(false, "Stale");
	expect_written("10-calico.conflist");
	expect_verdict(true, "InForce");
	/* the same in another layout is the same */
	file("10-calico.conflist",
	     "{\"plugins\":[{\"delegate\":{\"isDefaultGateway\":true,"
	     "\"hairpinMode\":true},\"type\":\"flannel\"},{\"type\":\"portmap\","
	     "\"capabilities\":{\"portMappings\":true}}],\"name\":\"cbr0\","
	     "\"cniVersion\":\"0.3.1\"}");
	expect_left(0, "10-calico.conflist");
}

static void keeps_the_last_good_copy_until_the_list_is_whole(void **state)
{
	static const char *const broken[] = {"", "{", "{\"name\": \"k8s-pod-network\", \"pl",
					     "null", "{\"name\":\"x\",\"plugins\":[]}"};

	file("10-calico.conflist", CALICO);
	file("20-other.conflist", FLANNEL);
	expect_written("10-calico.conflist");
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		file("10-calico.conflist", broken[i]);
		for (w.settled = false; !w.settled; w.settled = true) {
			expect_left(-EINVAL, "10-calico.conflist");
			assert_false(w.plan.pending);
		}
		assert_non_null(strstr(w.plan.why.msg, "10-calico.conflist"));
		expect_verdict(true, "LastGood");
	}
}

static void waits_for_a_list_that_vanished_before_it_takes_another(void **state)
{
	file("10-calico.conflist", CALICO);
	file("20-other.conflist", FLANNEL);
	expect_written("10-calico.conflist");
	gone("10-calico.conflist");
	expect_left(-ENOENT, "10-calico.conflist");
	assert_true(w.plan.pending);
	expect_verdict(true, "LastGood");
	w.settled = true;
	expect_written("20-other.conflist");
}

static void keeps_the_copy_for_ever_where_there_is_no_other(void **state)
{
	file("10-calico.conflist", CALICO);
	expect_written("10-calico.conflist");
	gone("10-calico.conflist");
	w.settled = true;
	expect_left(-ENOENT, "10-calico.conflist");
	expect_verdict(true, "LastGood");
}

static void takes_a_list_that_comes_to_sort_first(void **state)
{
	file("10-kindnet.conflist", KINDNET);
	expect_written("10-kindnet.conflist");
	file("05-cilium.conflist", CILIUM);
	expect_written("05-cilium.conflist");
}

static void is_not_held_up_by_rubbish_that_comes_first(void **state)
{
	file("01-junk.conf", "junk");
	file("10-kindnet.conflist", KINDNET);
	expect_left(-EINVAL, ""); /* it may be a list that is being written */
	assert_true(w.plan.pending);
	w.settled = true;
	expect_written("10-kindnet.conflist");
	file("10-kindnet.conflist", FLANNEL);
	expect_written("10-kindnet.conflist");
	expect_left(0, "10-kindnet.conflist");
}

static void keeps_the_entry_that_is_there_and_takes_one_that_is_given(void **state)
{
	file("10-kindnet.conflist", KINDNET);
	given("{\"type\":\"sluice\",\"failureMode\":\"open\"}", &w.entry);
	expect_written("10-kindnet.conflist");
	json_free(TAKE(w.entry));
	expect_left(0, "10-kindnet.conflist");
	file("10-kindnet.conflist", FLANNEL);
	expect_written("10-kindnet.conflist");
	assert_non_null(strstr(w.last, "failureMode"));
	given("{\"type\":\"sluice\",\"logLevel\":\"debug\"}", &w.entry);
	expect_verdict(false, "Stale");
	expect_written("10-kindnet.conflist");
	assert_null(strstr(w.last, "failureMode"));
}

static void puts_back_what_somebody_did_to_our_file(void **state)
{
	file("10-calico.conflist", CALICO);
	expect_written("10-calico.conflist");
	gone(CHAIN_FILE);
	expect_written("10-calico.conflist");
	assert_true(w.plan.lost);
	file(CHAIN_FILE, "{");
	expect_verdict(false, "Invalid");
	expect_written("10-calico.conflist");
	assert_true(w.plan.lost);
	file(CHAIN_FILE, CALICO); /* over ours */
	expect_verdict(false, "NotChained");
	expect_written("10-calico.conflist");
	assert_true(w.plan.lost);
}

static void puts_it_back_even_while_the_main_list_is_broken(void **state)
{
	file("10-calico.conflist", CALICO);
	expect_written("10-calico.conflist");
	file("10-calico.conflist", "");
	gone(CHAIN_FILE);
	expect_written("10-calico.conflist");
	gone("10-calico.conflist");
	gone(CHAIN_FILE);
	expect_written("10-calico.conflist");
}

static void does_not_touch_a_file_of_that_name_that_is_not_ours(void **state)
{
	file("10-calico.conflist", CALICO);
	file(CHAIN_FILE, FLANNEL);
	expect_left(-EEXIST, "");
	expect_verdict(false, "NotChained");
}

/* Istio copies the first list, ours, into one of its own. */
static void is_not_misled_by_a_copy_of_our_copy(void **state)
{
	__cleanup_free char *copy = NULL;

	file("10-kindnet.conflist", KINDNET);
	expect_written("10-kindnet.conflist");
	copy = mem_strdup(w.last);
	file("02-istio-cni.conflist", copy);
	expect_left(0, "10-kindnet.conflist");
	file("10-kindnet.conflist", FLANNEL);
	expect_written("10-kindnet.conflist");
	file("00-istio-cni.conflist", copy);
	expect_verdict(true, "Chained");
}

static void never_copies_multus_and_asks_whom_it_calls(void **state)
{
	file("00-multus.conf", MULTUS_THIN(KINDNET));
	expect_left(-ENOENT, "");
	file("10-kindnet.conflist", KINDNET);
	expect_written("10-kindnet.conflist");
	expect_left(0, "10-kindnet.conflist");
	expect_verdict(false, "NotDelegated");
	file("00-multus.conf", MULTUS_THIN("{\"name\":\"k\",\"plugins\":[{\"type\":\"ptp\"},{"
					   "\"type\":\"sluice\"}]}"));
	expect_verdict(true, "Delegated");
	file("00-multus.conf", MULTUS_THICK("/host/etc/cni/net.d/10-kindnet.conflist"));
	expect_verdict(false, "NotDelegated");
	file("00-multus.conf", MULTUS_THICK("/host/etc/cni/net.d/00-sluice.conflist"));
	expect_verdict(true, "Delegated");
	file("00-multus.conf", MULTUS_THICK("kindnet")); /* the network's name */
	expect_verdict(true, "Delegated");
}

static void says_why_the_chain_is_not_in_force(void **state)
{
	file("10-kindnet.conflist", KINDNET);
	w.dir.taken_away = true;
	expect_verdict(false, "TakenAway");
	w.dir.taken_away = false;
	expect_written("10-kindnet.conflist");
	file("00-aaa.conflist", FLANNEL);
	expect_verdict(false, "NotFirst");
	file("00-aaa.conflist", "{");
	expect_verdict(false, "Invalid");
	file("00-aaa.conflist", "{\"cniVersion\":\"1.0.0\",\"name\":\"n\",\"plugins\":[{\"type\":"
				"\"ptp\"},{\"type\":\"sluice\"}]}");
	expect_verdict(true, "Chained");
}

static void waits_for_a_list_that_can_be_chained(void **state)
{
	file("10-old.conflist", "{\"cniVersion\":\"0.2.0\",\"name\":\"n\",\"plugins\":[{\"type\":"
				"\"bridge\"}]}");
	w.settled = true;
	expect_left(-EOPNOTSUPP, "");
	assert_non_null(strstr(w.plan.why.msg, "10-old.conflist: cniVersion '0.2.0'"));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(copies_the_first_list_and_then_has_nothing_to_do),
		T(writes_nothing_without_a_main_list),
		T(follows_what_the_main_cni_writes),
		T(keeps_the_last_good_copy_until_the_list_is_whole),
		T(waits_for_a_list_that_vanished_before_it_takes_another),
		T(keeps_the_copy_for_ever_where_there_is_no_other),
		T(takes_a_list_that_comes_to_sort_first),
		T(is_not_held_up_by_rubbish_that_comes_first),
		T(keeps_the_entry_that_is_there_and_takes_one_that_is_given),
		T(puts_back_what_somebody_did_to_our_file),
		T(puts_it_back_even_while_the_main_list_is_broken),
		T(does_not_touch_a_file_of_that_name_that_is_not_ours),
		T(is_not_misled_by_a_copy_of_our_copy),
		T(never_copies_multus_and_asks_whom_it_calls),
		T(says_why_the_chain_is_not_in_force),
		T(waits_for_a_list_that_can_be_chained),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
