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
#include "json/json.h"
#include "reconcile/objects.h"
#include "testkit/objects_fixture.h"

#define CONFIG(more) \
	"{\"metadata\":{\"name\":\"default\"},\"spec\":{\"clusterCIDRs\":[\"10.0.0.0/8\"]" more "}}"
#define NODE_CIDRS ",\"nodeCIDRs\":[\"192.0.2.0/24\"]"
#define NODE(name, labels) \
	"{\"metadata\":{\"name\":\"" name "\",\"labels\":{" labels "}},\"spec\":{},\"status\":{}}"
#define GATEWAY(name, selector)                                                      \
	"{\"metadata\":{\"name\":\"" name "\"},\"spec\":{\"addresses\":[{\"range\":" \
	"\"203.0.113.1\"}]" selector "}}"
#define SELECTOR ",\"nodeSelector\":{\"matchLabels\":{\"sluice.dev/gateway\":\"yes\"}}"
#define POLICY(nodes)                                                                   \
	"{\"metadata\":{\"namespace\":\"shop\",\"name\":\"p\"},\"spec\":{\"subject\":{" \
	"\"podSelector\":{}},\"rules\":[{\"name\":\"r\",\"action\":\"Deny\",\"to\":[{"  \
	"\"nodes\":" nodes "}]}]}}"

static void expect(struct fixture *f, bool determined, const char *expected)
{
	__cleanup_free char *text = mem_strdup("");
	struct node_queries q;

	objects_node_queries(f->o, "n1", &q);
	for (size_t i = 0; i < q.n; i++) {
		__cleanup_free char *before = text;

		text = mem_printf("%s%s%s", before, *before ? " " : "",
				  *q.list[i] ? q.list[i] : "(all)");
	}
	node_queries_done(&q);
	assert_string_equal(text, expected);
	assert_int_equal(q.determined, determined);
}

/* All but nodes. */
static void tell(struct fixture *f)
{
	objects_speaker(f->o, 0);
	for (enum collection c = 0; c < OBJECTS_N; c++)
		if (c != OBJECTS_SERVICES && c != OBJECTS_NODES)
			objects_synced(f->o, c);
}

#define OWN "fieldSelector=metadata.name%3Dn1"
#define GW  "labelSelector=sluice.dev%2Fgateway%20in%20%28yes%29"

static void a_node_asks_for_those_that_it_needs(void **state)
{
	struct fixture *f = *state;

	expect(f, false, OWN);
	put(f, OBJECTS_CONFIGS, CONFIG(NODE_CIDRS));
	put(f, OBJECTS_GATEWAYS, GATEWAY("a", SELECTOR));
	put(f, OBJECTS_GATEWAYS, GATEWAY("b", SELECTOR));
	tell(f);
	expect(f, false, OWN); /* its labels are not known */
	put(f, OBJECTS_NODES, NODE("n1", "\"zone\":\"a\""));
	objects_synced(f->o, OBJECTS_NODES);
	expect(f, true, OWN " " GW);
	put(f, OBJECTS_POLICIES,
	    POLICY("{\"matchExpressions\":[{\"key\":\"db\",\"operator\":\"Exists\"},{\"key\":"
		   "\"a.b/c\",\"operator\":\"NotIn\",\"values\":[\"x\",\"y\"]},{\"key\":\"old\","
		   "\"operator\":\"DoesNotExist\"}]}"));
	expect(f, true, OWN " " GW " labelSelector=a.b%2Fc%20notin%20%28x%2Cy%29%2Cdb%2C%21old");
	put(f, OBJECTS_POLICIES, POLICY("{}"));
	expect(f, true, OWN " (all)");
	objects_gone(f->o, OBJECTS_POLICIES, "shop", "p", NULL);
	expect(f, true, OWN " " GW);
	put(f, OBJECTS_GATEWAYS, GATEWAY("b", "")); /* every node is its candidate */
	expect(f, true, OWN " (all)");
	objects_gone(f->o, OBJECTS_GATEWAYS, "", "b", NULL);
	expect(f, true, OWN " " GW);
	put(f, OBJECTS_NODES, NODE("n1", "\"sluice.dev/gateway\":\"yes\""));
	expect(f, true, OWN " (all)");
}

static void without_a_word_for_their_addresses_all_nodes_are_asked_for(void **state)
{
	struct fixture *f = *state;

	put(f, OBJECTS_CONFIGS, CONFIG(""));
	put(f, OBJECTS_GATEWAYS, GATEWAY("a", SELECTOR));
	tell(f);
	expect(f, true, OWN " (all)");
	assert_true(objects_nodes_all(f->o));
	put(f, OBJECTS_CONFIGS, CONFIG(NODE_CIDRS));
	assert_false(objects_nodes_all(f->o));
	expect(f, false, OWN);
}

static void more_selectors_than_watches_are_all_nodes(void **state)
{
	struct fixture *f = *state;

	put(f, OBJECTS_CONFIGS, CONFIG(NODE_CIDRS));
	tell(f);
	objects_synced(f->o, OBJECTS_NODES);
	for (int i = 0; i < NODE_QUERIES_MAX; i++) {
		__cleanup_free char *text = mem_printf(
			"{\"metadata\":{\"name\":\"g%d\"},\"spec\":{\"addresses\":[{"
			"\"range\":\"203.0.113.%d\"}],\"nodeSelector\":{\"matchLabels\":"
			"{\"gw\":\"%d\"}}}}",
			i, i, i);

		put(f, OBJECTS_GATEWAYS, text);
	}
	expect(f, true, OWN " (all)");
}

/* Watches overlap; each lists and forgets for itself. */
static void a_node_is_there_for_as_long_as_one_watch_tells_it(void **state)
{
	struct fixture *f = *state;
	struct doc_set *set = NULL;

	put(f, OBJECTS_CONFIGS, CONFIG(NODE_CIDRS));
	tell(f);
	objects_awaits(f->o, 3, true);
	objects_begin(f->o, OBJECTS_NODES);
	put(f, OBJECTS_NODES, NODE("n1", ""));
	objects_synced(f->o, OBJECTS_NODES);
	assert_false(objects_known(f->o, NULL)); /* one of two */
	objects_speaker(f->o, 1);
	objects_begin(f->o, OBJECTS_NODES);
	put(f, OBJECTS_NODES, NODE("n1", ""));
	put(f, OBJECTS_NODES, NODE("n2", ""));
	objects_synced(f->o, OBJECTS_NODES);
	assert_true(objects_known(f->o, NULL));
	assert_int_equal(objects_count(f->o, OBJECTS_NODES), 2);
	assert_int_equal(objects_set(f->o, &set), 1);
	doc_set_free(set);
	/* by its label it is none of them any more */
	objects_gone(f->o, OBJECTS_NODES, "", "n1", NULL);
	objects_begin(f->o, OBJECTS_NODES); /* and in a list without n2 */
	objects_synced(f->o, OBJECTS_NODES);
	assert_int_equal(objects_count(f->o, OBJECTS_NODES), 1);
	assert_non_null(objects_find(f->o, OBJECTS_NODES, "", "n1"));
	objects_silence(f->o, 0);
	assert_int_equal(objects_count(f->o, OBJECTS_NODES), 0);
}

static void an_edit_waits_for_the_nodes_that_it_asks_for(void **state)
{
	struct fixture *f = *state;
	struct doc_set *set = NULL;
	const struct err trouble = {.code = -1, .msg = "refused"};

	put(f, OBJECTS_CONFIGS, CONFIG(NODE_CIDRS));
	tell(f);
	objects_synced(f->o, OBJECTS_NODES);
	assert_int_equal(objects_set(f->o, &set), 1);
	doc_set_free(set);
	put(f, OBJECTS_POLICIES, POLICY("{\"matchLabels\":{\"db\":\"yes\"}}"));
	assert_true(objects_changed(f->o));
	objects_awaits(f->o, 3, true);
	assert_false(objects_changed(f->o));
	objects_awaits(f->o, 3, true);
	assert_false(objects_changed(f->o));
	objects_speaker(f->o, 1);
	objects_begin(f->o, OBJECTS_NODES);
	put(f, OBJECTS_NODES, NODE("n2", "\"db\":\"yes\""));
	assert_false(objects_changed(f->o));
	objects_synced(f->o, OBJECTS_NODES);
	assert_true(objects_changed(f->o));
	objects_awaits(f->o, 7, true);
	assert_false(objects_changed(f->o));
	objects_trouble(f->o, OBJECTS_NODES, &trouble); /* that may be for long */
	assert_true(objects_changed(f->o));
}

static void what_the_log_said_stays_until_all_have_told(void **state)
{
	struct fixture *f = *state;

	put(f, OBJECTS_CONFIGS, CONFIG(NODE_CIDRS));
	put(f, OBJECTS_NODES, NODE("n1", ""));
	put(f, OBJECTS_NODES, NODE("n2", ""));
	tell(f);
	objects_synced(f->o, OBJECTS_NODES);
	assert_int_equal(objects_keep(f->o, NULL), 0);
	objects_free(f->o);
	f->o = NULL;
	assert_int_equal(objects_new(f->fd, true, &f->o, NULL), 0);
	assert_true(objects_known(f->o, NULL));
	assert_int_equal(objects_count(f->o, OBJECTS_NODES), 2);
	objects_awaits(f->o, 3, true);
	objects_begin(f->o, OBJECTS_NODES);
	put(f, OBJECTS_NODES, NODE("n1", ""));
	objects_synced(f->o, OBJECTS_NODES);
	assert_int_equal(objects_count(f->o, OBJECTS_NODES), 2);
	objects_speaker(f->o, 1);
	objects_begin(f->o, OBJECTS_NODES);
	objects_synced(f->o, OBJECTS_NODES);
	assert_int_equal(objects_count(f->o, OBJECTS_NODES), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, store_make, store_remove)
	const struct CMUnitTest tests[] = {
		TEST(a_node_asks_for_those_that_it_needs),
		TEST(without_a_word_for_their_addresses_all_nodes_are_asked_for),
		TEST(more_selectors_than_watches_are_all_nodes),
		TEST(a_node_is_there_for_as_long_as_one_watch_tells_it),
		TEST(an_edit_waits_for_the_nodes_that_it_asks_for),
		TEST(what_the_log_said_stays_until_all_have_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
