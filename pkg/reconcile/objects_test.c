/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/atomic_file.h"
#include "base/mem.h"
#include "json/json.h"
#include "reconcile/object_log.h"
#include "reconcile/objects.h"
#include "testkit/objects_fixture.h"

/* Whether there is a new set; it replaces the fixture's. */
static bool next(struct fixture *f)
{
	struct doc_set *set = NULL;

	if (!objects_set(f->o, &set))
		return false;
	doc_set_free(f->set);
	f->set = set;
	return true;
}

static void again(struct fixture *f)
{
	assert_int_equal(objects_keep(f->o, NULL), 0);
	objects_free(f->o);
	f->o = NULL;
	assert_int_equal(objects_new(f->fd, true, &f->o, NULL), 0);
	if (objects_known(f->o, NULL))
		assert_true(next(f));
}

#define RULES_DENY "[{\"name\":\"r\",\"action\":\"Deny\"}]"
#define POLICY(name, more)                                                                         \
	"{\"metadata\":{\"namespace\":\"shop\",\"name\":\"" name "\",\"generation\":1},\"spec\":{" \
	"\"subject\":{\"podSelector\":{\"matchLabels\":{\"app\":\"" name "\"}}}," more "}}"
#define GATEWAY(name, created, ranges)                                                   \
	"{\"metadata\":{\"name\":\"" name "\",\"creationTimestamp\":\"2026-01-0" created \
	"T00:00:00Z\"},\"spec\":{\"addresses\":[" ranges "],\"allowedNamespaces\":{}}}"
#define RANGE(r) "{\"range\":\"" r "\"}"
#define POD(name, app)                                                                             \
	"{\"metadata\":{\"namespace\":\"shop\",\"name\":\"" name "\",\"uid\":\"u-" name            \
	"\",\"labels\":{\"app\":\"" app "\"},\"managedFields\":[]},\"spec\":{\"nodeName\":\"n1\"," \
	"\"containers\":[]},\"status\":{\"podIPs\":[{\"ip\":\"10.0.0.1\"},{\"ip\":\"fd00::1\"}]}}"

static void nothing_is_in_force_before_all_collections_are_told(void **state)
{
	struct fixture *f = *state;
	struct err e = {0};

	put(f, OBJECTS_POLICIES, POLICY("a", "\"rules\":" RULES_DENY));
	for (enum collection c = 0; c < OBJECTS_PODS; c++)
		objects_synced(f->o, c);
	assert_false(objects_known(f->o, &e));
	assert_non_null(strstr(e.msg, "pods"));
	assert_false(next(f));
	objects_synced(f->o, OBJECTS_PODS);
	assert_true(next(f));
	assert_int_equal(f->set->n_policies, 1);
	assert_false(next(f));
}

static void what_is_not_read_is_no_change(void **state)
{
	struct addr ips[OBJECT_MAX_IPS];
	struct fixture *f = *state;

	put(f, OBJECTS_PODS, POD("p", "web"));
	sync_all(f);
	assert_true(next(f));
	put(f, OBJECTS_PODS,
	    "{\"metadata\":{\"namespace\":\"shop\",\"name\":\"p\",\"uid\":\"u-p\",\"labels\":{"
	    "\"app\":\"web\"}},\"spec\":{\"nodeName\":\"n1\"},\"status\":{\"phase\":\"Running\"}}");
	assert_false(next(f));
	put(f, OBJECTS_PODS, POD("p", "db"));
	assert_true(next(f));
	assert_string_equal(labels_get(&f->set->pods[0]->meta.labels, "app"), "db");
	assert_int_equal(object_ips(objects_find(f->o, OBJECTS_PODS, "shop", "p"), ips), 2);
	assert_string_equal(addr_str(ips[0]), "10.0.0.1");
	assert_string_equal(addr_str(ips[1]), "fd00::1");
}

static void an_edit_costs_its_own_object(void **state)
{
	struct fixture *f = *state;
	const char *name_b;

	put(f, OBJECTS_POLICIES, POLICY("a", "\"rules\":" RULES_DENY));
	put(f, OBJECTS_POLICIES, POLICY("b", "\"rules\":" RULES_DENY));
	sync_all(f);
	assert_true(next(f));
	name_b = f->set->policies[1]->meta.name;
	put(f, OBJECTS_POLICIES, POLICY("a", "\"priority\":3,\"rules\":" RULES_DENY));
	assert_true(next(f));
	assert_int_equal(f->set->policies[0]->priority, 3);
	assert_ptr_equal(f->set->policies[1]->meta.name, name_b);
}

static void an_invalid_update_keeps_the_last_good_version_over_restarts(void **state)
{
	struct fixture *f = *state;
	const struct object *obj;

	put(f, OBJECTS_POLICIES, POLICY("a", "\"priority\":3,\"rules\":" RULES_DENY));
	sync_all(f);
	assert_true(next(f));
	put(f, OBJECTS_POLICIES, POLICY("a", "\"priority\":4,\"novelty\":1,\"rules\":" RULES_DENY));
	assert_true(next(f));
	for (int i = 0; i < 2; i++) {
		assert_int_equal(f->set->n_policies, 1);
		assert_int_equal(f->set->policies[0]->priority, 3);
		obj = objects_find(f->o, OBJECTS_POLICIES, "shop", "a");
		assert_non_null(
			strstr(obj->more->refused, "EgressPolicy shop/a: spec.novelty: unknown"));
		assert_non_null(strstr(obj->more->refused, "the last good version stays in force"));
		again(f);
	}
	put(f, OBJECTS_POLICIES, POLICY("a", "\"priority\":5,\"rules\":" RULES_DENY));
	assert_true(next(f));
	assert_int_equal(f->set->policies[0]->priority, 5);
	assert_null(objects_find(f->o, OBJECTS_POLICIES, "shop", "a")->more->refused);
	again(f);
	assert_int_equal(f->set->policies[0]->priority, 5);
	assert_null(objects_find(f->o, OBJECTS_POLICIES, "shop", "a")->more->refused);
}

static void what_never_was_valid_denies_its_subject_in_its_tier(void **state)
{
	struct fixture *f = *state;

	put(f, OBJECTS_POLICIES, POLICY("a", "\"priority\":7,\"rules\":[{\"action\":\"May\"}]"));
	put(f, OBJECTS_CLUSTER_POLICIES,
	    "{\"metadata\":{\"name\":\"b\"},\"spec\":{\"tier\":\"Baseline\",\"subject\":{"
	    "\"podSelector\":{}},\"rules\":3}}");
	put(f, OBJECTS_POLICIES,
	    "{\"metadata\":{\"namespace\":\"shop\",\"name\":\"c\"},\"spec\":{"
	    "\"subject\":{\"people\":{}},\"rules\":" RULES_DENY "}}");
	sync_all(f);
	assert_true(next(f));
	for (int i = 0; i < 2; i++) {
		assert_int_equal(f->set->n_policies, 2);
		assert_int_equal(f->set->policies[0]->tier, TIER_BASELINE);
		for (size_t k = 0; k < 2; k++) {
			assert_int_equal(f->set->policies[k]->priority, 0);
			assert_int_equal(f->set->policies[k]->n_rules, 1);
			assert_int_equal(f->set->policies[k]->rules[0].action, ACTION_DENY);
		}
		assert_non_null(
			strstr(objects_find(f->o, OBJECTS_POLICIES, "shop", "c")->more->refused,
			       "not in force"));
		again(f);
	}
}

static void the_older_gateway_keeps_a_range_that_two_claim(void **state)
{
	struct fixture *f = *state;

	put(f, OBJECTS_GATEWAYS,
	    GATEWAY("a", "2", RANGE("192.0.2.8-192.0.2.9") "," RANGE("192.0.2.20")));
	put(f, OBJECTS_GATEWAYS, GATEWAY("b", "1", RANGE("192.0.2.9-192.0.2.12")));
	put(f, OBJECTS_GATEWAYS, GATEWAY("c", "3", RANGE("192.0.2.20")));
	sync_all(f);
	assert_true(next(f));
	assert_int_equal(f->set->n_gateways, 3);
	assert_int_equal(f->set->gateways[0].n_ranges, 1);
	assert_int_equal(f->set->gateways[1].n_ranges, 1);
	assert_int_equal(f->set->gateways[2].n_ranges, 0);
	assert_non_null(strstr(objects_find(f->o, OBJECTS_GATEWAYS, "", "a")->more->conflict,
			       "spec.addresses[0].range: EgressGateway b"));
	assert_null(objects_find(f->o, OBJECTS_GATEWAYS, "", "b")->more->conflict);
	objects_gone(f->o, OBJECTS_GATEWAYS, "", "b", NULL);
	objects_gone(f->o, OBJECTS_GATEWAYS, "", "c", NULL);
	assert_true(next(f));
	assert_int_equal(f->set->n_gateways, 1);
	assert_int_equal(f->set->gateways[0].n_ranges, 2);
	assert_null(objects_find(f->o, OBJECTS_GATEWAYS, "", "a")->more->conflict);
}

static void a_via_may_name_an_address_that_its_gateway_lacks(void **state)
{
	struct fixture *f = *state;

	put(f, OBJECTS_GATEWAYS, GATEWAY("a", "2", RANGE("192.0.2.8")));
	put(f, OBJECTS_POLICIES,
	    POLICY("p", "\"rules\":[{\"via\":{\"gateway\":\"a\",\"addresses\":[\"192.0.2.9\"]}}]"));
	sync_all(f);
	assert_true(next(f));
	assert_int_equal(f->set->n_policies, 1);
	put(f, OBJECTS_GATEWAYS, GATEWAY("a", "2", RANGE("192.0.2.7")));
	assert_true(next(f));
}

static bool nobody(void *data, const char *namespace, const char *name)
{
	return false;
}

static bool who(void *data, const char *namespace, const char *name)
{
	return strcmp(namespace, "shop") == 0 && strcmp(name, data) == 0;
}

static void a_pod_is_who_it_was_while_it_is_needed(void **state)
{
	struct fixture *f = *state;

	put(f, OBJECTS_PODS, POD("p", "web"));
	put(f, OBJECTS_PODS, POD("q", "web"));
	sync_all(f);
	assert_true(next(f));
	objects_gone(f->o, OBJECTS_PODS, "shop", "p", NULL);
	objects_gone(f->o, OBJECTS_PODS, "shop", "q", NULL);
	objects_sweep(f->o, who, (char[]){"p"});
	assert_true(next(f));
	assert_int_equal(f->set->n_pods, 1);
	again(f);
	assert_int_equal(f->set->n_pods, 1);
	objects_begin(f->o, OBJECTS_PODS);
	objects_synced(f->o, OBJECTS_PODS);
	objects_sweep(f->o, who, (char[]){"p"});
	next(f);
	assert_int_equal(f->set->n_pods, 1);
	objects_sweep(f->o, nobody, NULL);
	assert_true(next(f));
	assert_int_equal(f->set->n_pods, 0);
}

static void what_a_complete_list_does_not_have_is_gone(void **state)
{
	struct fixture *f = *state;

	put(f, OBJECTS_POLICIES, POLICY("a", "\"rules\":" RULES_DENY));
	put(f, OBJECTS_POLICIES, POLICY("b", "\"rules\":" RULES_DENY));
	sync_all(f);
	assert_true(next(f));
	again(f);
	assert_int_equal(f->set->n_policies, 2);
	objects_begin(f->o, OBJECTS_POLICIES);
	put(f, OBJECTS_POLICIES, POLICY("b", "\"rules\":" RULES_DENY));
	assert_false(next(f));
	objects_synced(f->o, OBJECTS_POLICIES);
	assert_true(next(f));
	assert_int_equal(f->set->n_policies, 1);
	assert_string_equal(f->set->policies[0]->meta.name, "b");
	again(f);
	assert_int_equal(f->set->n_policies, 1);
}

static void what_the_api_told_is_counted(void **state)
{
	const struct err trouble = {.code = -EIO, .msg = "gone"};
	struct fixture *f = *state;
	struct objects_counts c;

	assert_int_equal(objects_told_at(f->o), 0);
	objects_begin(f->o, OBJECTS_POLICIES);
	put(f, OBJECTS_POLICIES, POLICY("a", "\"rules\":" RULES_DENY));
	put(f, OBJECTS_POLICIES, POLICY("b", "\"rule\": 1"));
	objects_synced(f->o, OBJECTS_POLICIES);
	objects_gone(f->o, OBJECTS_POLICIES, "shop", "a", NULL);
	objects_trouble(f->o, OBJECTS_POLICIES, &trouble);
	objects_trouble(f->o, OBJECTS_POLICIES, NULL);
	objects_counts(f->o, OBJECTS_POLICIES, &c);
	assert_int_equal(c.lists, 1);
	assert_int_equal(c.told, 3);
	assert_int_equal(c.errors, 1);
	assert_int_equal(c.n, 1);
	assert_int_equal(c.refused, 1);
	assert_true(objects_told_at(f->o) > 0);
	objects_counts(f->o, OBJECTS_NODES, &c);
	assert_int_equal(c.lists + c.told + c.errors, 0);
}

static void a_policy_on_services_waits_for_them(void **state)
{
	struct fixture *f = *state;

	sync_all(f);
	assert_false(objects_wanted(f->o, OBJECTS_SERVICES));
	put(f, OBJECTS_POLICIES,
	    "{\"metadata\":{\"namespace\":\"shop\",\"name\":\"c\"},\"spec\":{"
	    "\"subject\":{\"services\":[\"s\"]},\"rules\":" RULES_DENY "}}");
	assert_true(objects_wanted(f->o, OBJECTS_SERVICES));
	assert_true(next(f));
	assert_int_equal(f->set->n_policies, 0);
	put(f, OBJECTS_SERVICES,
	    "{\"metadata\":{\"namespace\":\"shop\",\"name\":\"s\"},\"spec\":{"
	    "\"selector\":{\"app\":\"web\"},\"ports\":[]}}");
	objects_synced(f->o, OBJECTS_SERVICES);
	assert_true(next(f));
	assert_int_equal(f->set->n_policies, 1);
	assert_int_equal(f->set->n_services, 1);
	objects_gone(f->o, OBJECTS_POLICIES, "shop", "c", NULL);
	assert_false(objects_wanted(f->o, OBJECTS_SERVICES));
}

static void a_thousand_events_are_one_set(void **state)
{
	struct fixture *f = *state;

	sync_all(f);
	assert_true(next(f));
	for (int i = 0; i < 1000; i++) {
		__cleanup_free char *text = mem_printf("{\"metadata\":{\"namespace\":\"shop\","
						       "\"name\":\"p%d\"},\"spec\":{\"subject\":{"
						       "\"podSelector\":{}},\"rules\":" RULES_DENY
						       "}}",
						       i * 7 % 1000);

		put(f, OBJECTS_POLICIES, text);
	}
	assert_true(next(f));
	assert_int_equal(f->set->n_policies, 1000);
	assert_false(next(f));
}

/* ---- the log ---- */

static char *log_text(struct fixture *f, size_t *len)
{
	char *text = NULL;

	assert_int_equal(objects_keep(f->o, NULL), 0);
	assert_int_equal(atomic_file_load(f->fd, OBJECT_LOG, 1 << 24, &text, len, NULL), 0);
	return text;
}

static void a_log_that_was_cut_short_is_read_as_far_as_it_stands(void **state)
{
	struct fixture *f = *state;
	__cleanup_free char *text = NULL;
	size_t len;

	sync_all(f);
	put(f, OBJECTS_POLICIES, POLICY("a", "\"rules\":" RULES_DENY));
	put(f, OBJECTS_POLICIES, POLICY("b", "\"rules\":" RULES_DENY));
	text = log_text(f, &len);
	for (size_t cut = 1; cut < 150; cut += 37) {
		assert_int_equal(atomic_file_store(f->fd, OBJECT_LOG, text, len - cut, 0600, NULL),
				 0);
		objects_free(f->o);
		assert_int_equal(objects_new(f->fd, true, &f->o, NULL), 0);
		assert_true(next(f));
		assert_int_equal(f->set->n_policies, 1);
		put(f, OBJECTS_POLICIES, POLICY("c", "\"rules\":" RULES_DENY));
		again(f);
		assert_int_equal(f->set->n_policies, 2);
	}
}

static void a_log_that_is_damaged_waits_for_the_api(void **state)
{
	struct fixture *f = *state;
	__cleanup_free char *text = NULL;
	size_t len;

	sync_all(f);
	put(f, OBJECTS_POLICIES, POLICY("a", "\"rules\":" RULES_DENY));
	put(f, OBJECTS_POLICIES, POLICY("b", "\"rules\":" RULES_DENY));
	text = log_text(f, &len);
	strstr(text, "podSelector")[0] = 'q';
	assert_int_equal(atomic_file_store(f->fd, OBJECT_LOG, text, len, 0600, NULL), 0);
	objects_free(f->o);
	assert_int_equal(objects_new(f->fd, true, &f->o, NULL), 0);
	assert_false(objects_known(f->o, NULL));
}

static void a_log_that_is_mostly_out_of_date_is_written_anew(void **state)
{
	struct fixture *f = *state;
	__cleanup_free char *text = NULL, *filler = mem_alloc0(4001);
	size_t len;

	memset(filler, 'x', 4000);
	sync_all(f);
	put(f, OBJECTS_POLICIES, POLICY("z", "\"rules\":[{\"action\":\"May\"}]"));
	for (int i = 0; i < 600; i++) {
		__cleanup_free char *body = mem_printf(
			"{\"metadata\":{\"namespace\":\"shop\",\"name\":\"a\"},\"spec\":{"
			"\"priority\":"
			"%d,\"subject\":{\"podSelector\":{}},\"rules\":" RULES_DENY "%s%s%s}}",
			i, i % 3 == 2 ? ",\"novelty\":\"" : "", i % 3 == 2 ? filler : "",
			i % 3 == 2 ? "\"" : "");

		put(f, OBJECTS_POLICIES, body);
		if (i % 50 == 49)
			assert_int_equal(objects_keep(f->o, NULL), 0);
	}
	again(f);
	text = log_text(f, &len);
	assert_true(len < 1 << 20);
	assert_int_equal(f->set->n_policies, 2);
	assert_int_equal(f->set->policies[0]->priority, 598);
	assert_non_null(objects_find(f->o, OBJECTS_POLICIES, "shop", "a")->more->refused);
}

/* No server says so, and nobody may end the daemon by it. */
static void what_is_told_without_its_namespace_is_of_no_object(void **state)
{
	struct fixture *f = *state;
	struct err why = {0};

	err_set(&why, -EFBIG, "larger than 4194304 bytes");
	put(f, OBJECTS_POLICIES, POLICY("a", "\"rules\":" RULES_DENY));
	put(f, OBJECTS_PODS, POD("p", "web"));
	sync_all(f);
	assert_true(next(f));
	objects_gone(f->o, OBJECTS_POLICIES, NULL, "a", NULL);
	objects_gone(f->o, OBJECTS_PODS, NULL, "p", NULL);
	objects_unreadable(f->o, OBJECTS_POLICIES, NULL, "a", &why);
	assert_false(next(f));
	assert_null(objects_find(f->o, OBJECTS_POLICIES, "shop", "a")->more->refused);
}

static void a_version_that_is_no_number_hides_no_object(void **state)
{
	static const char *const versions[] = {"0", "later", "12a"};
	struct fixture *f = *state;

	sync_all(f);
	for (size_t i = 0; i < 3; i++) {
		__cleanup_free char *text = mem_printf(
			"{\"metadata\":{\"namespace\":\"shop\",\"name\":\"a\",\"resourceVersion\":"
			"\"%s\"},\"spec\":{\"priority\":%zu,\"subject\":{\"podSelector\":{}},"
			"\"rules\":" RULES_DENY "}}",
			versions[i], i + 1);

		put(f, OBJECTS_POLICIES, text);
		assert_true(next(f));
		assert_int_equal(f->set->policies[0]->priority, i + 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, store_make, store_remove)
		T(nothing_is_in_force_before_all_collections_are_told),
		T(what_is_not_read_is_no_change),
		T(an_edit_costs_its_own_object),
		T(an_invalid_update_keeps_the_last_good_version_over_restarts),
		T(what_never_was_valid_denies_its_subject_in_its_tier),
		T(the_older_gateway_keeps_a_range_that_two_claim),
		T(a_via_may_name_an_address_that_its_gateway_lacks),
		T(a_pod_is_who_it_was_while_it_is_needed),
		T(what_a_complete_list_does_not_have_is_gone),
		T(what_the_api_told_is_counted),
		T(what_is_told_without_its_namespace_is_of_no_object),
		T(a_version_that_is_no_number_hides_no_object),
		T(a_policy_on_services_waits_for_them),
		T(a_thousand_events_are_one_set),
		T(a_log_that_was_cut_short_is_read_as_far_as_it_stands),
		T(a_log_that_is_damaged_waits_for_the_api),
		T(a_log_that_is_mostly_out_of_date_is_written_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
