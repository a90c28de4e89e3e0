/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>

#include "reconcile/priv.h"
#include "testkit/objects_fixture.h"
#include "testkit/policy_fixture.h"

#define GATEWAY(version, addresses)                                                              \
	"{\"metadata\":{\"name\":\"g\",\"uid\":\"g\",\"generation\":1,\"resourceVersion\":"      \
	"\"" version "\"},\"spec\":{\"addresses\":[{\"range\":\"203.0.113.10-203.0.113.11\"}]}," \
	"\"status\":{\"addresses\":" addresses "}}"

static void put_node(struct fixture *f, const char *name, int addr, int version, const char *ready)
{
	char text[512];

	snprintf(text, sizeof(text),
		 "{\"metadata\":{\"name\":\"%s\",\"uid\":\"%s\",\"resourceVersion\":\"%d\"},"
		 "\"status\":{\"addresses\":[{\"type\":\"InternalIP\",\"address\":\"192.0.2.%d\"}],"
		 "\"conditions\":[{\"type\":\"Ready\",\"status\":\"%s\"}]}}",
		 name, name, version, addr, ready);
	put(f, OBJECTS_NODES, text);
}

/* A daemon's part of it: what the API said is compiled, and then it is asked. */
struct world {
	struct reconcile r;
	struct policy_fixture p;
};

static uint64_t compile(struct world *w, struct fixture *f)
{
	struct compiled *old = w->p.c;
	struct doc_set *set = NULL;

	if (objects_set(f->o, &set)) {
		w->p.set = set;
		policy_fixture_compile(&w->p);
		compiled_free(old);
		doc_set_free(f->set);
		f->set = set;
		w->r.compiled = w->p.c;
		w->r.compiled_serial++;
	}
	return holdings_look(&w->r);
}

static void world_init(struct world *w, struct fixture *f)
{
	*w = (struct world){0};
	w->r.policies.objects = f->o;
	w->r.membership = (struct membership *)w; /* there are heartbeats */
	policy_fixture_node(&w->p, "n1", "eth0 192.0.2.1/24 203.0.113.1/24");
	put_node(f, "n1", 1, 1, "True");
	put_node(f, "n2", 2, 2, "True");
}

static void world_done(struct world *w)
{
	holdings_done(&w->r.holdings);
	compiled_free(w->p.c);
}

static void who_has_what_is_read_while_a_gateway_is_not_ready(void **state)
{
	struct fixture *f = *state;
	uint64_t nothing, one;
	struct world w;

	world_init(&w, f);
	put(f, OBJECTS_GATEWAYS, GATEWAY("3", "[]"));
	sync_all(f);
	assert_int_equal(compile(&w, f), 0);
	assert_null(w.r.holdings.list);
	put_node(f, "n2", 2, 4, "Unknown");
	nothing = compile(&w, f);
	assert_int_not_equal(nothing, 0);
	assert_non_null(w.r.holdings.list); /* that nobody has anything is known */
	assert_int_equal(w.r.holdings.n, 0);
	put(f, OBJECTS_GATEWAYS,
	    GATEWAY("5",
		    "[{\"address\":\"203.0.113.11\",\"node\":\"n2\"},"
		    "{\"address\":\"nonsense\",\"node\":\"n2\"},{\"address\":\"203.0.113.10\"}]"));
	one = compile(&w, f);
	assert_int_not_equal(one, nothing);
	assert_int_equal(w.r.holdings.n, 1);
	assert_true(addr_eq(w.r.holdings.list[0].addr, addr_of("203.0.113.11")));
	assert_string_equal(w.r.holdings.list[0].node, "n2");
	assert_int_equal(compile(&w, f), one);
	put_node(f, "n2", 2, 6, "True");
	assert_int_equal(compile(&w, f), 0);
	assert_null(w.r.holdings.list);
	world_done(&w);
}

static void nobody_knows_before_the_api_has_told_all(void **state)
{
	struct fixture *f = *state;
	struct world w;

	world_init(&w, f);
	put_node(f, "n2", 2, 4, "False");
	put(f, OBJECTS_GATEWAYS, GATEWAY("5", "[]"));
	assert_int_equal(compile(&w, f), 0);
	assert_null(w.r.holdings.list);
	world_done(&w);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, store_make, store_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(who_has_what_is_read_while_a_gateway_is_not_ready),
		TEST(nobody_knows_before_the_api_has_told_all),
	};

	return cmocka_run_group_tests_name("reconcile/holdings", tests, NULL, NULL);
}
