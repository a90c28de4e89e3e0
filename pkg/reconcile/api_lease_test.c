/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/api_lease.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "testkit/fake_world.h"
#include "testkit/netns_fixture.h"
#include "testkit/objects_fixture.h"

#define LEASE(version)                                                                        \
	"{\"metadata\":{\"name\":\"sluiced\",\"resourceVersion\":\"" version "\"},\"spec\":{" \
	"\"holderIdentity\":\"\",\"leaseDurationSeconds\":15}}"
#define QUICKER "{\"kind\":\"Status\",\"message\":\"somebody was quicker\"}"

/* What is answered, one after the other; what was asked for. */
struct script {
	const struct turn {
		const char *method;
		int status;
		const char *answer; /* NULL: what was sent */
	} * turns;
	size_t n, at;
	char wrong[256];
};

static void play(struct fake_conn *c, const struct fake_request *r, void *data)
{
	struct script *s = data;
	const struct turn *t = &s->turns[s->at < s->n ? s->at : s->n - 1];

	if (strcmp(r->method, t->method) != 0 && !*s->wrong)
		snprintf(s->wrong, sizeof(s->wrong), "%s in the place of %s %zu", r->method,
			 t->method, s->at);
	s->at++;
	fake_json(c, t->status, t->answer ?: r->body);
}

static void won(void *data)
{
	struct fake_world *w = data;

	loop_quit(w->loop);
}

/* Who is told 409 knows nothing any more: it reads anew, and writes by the version that it read. */
static void a_lease_that_others_write_is_read_anew_and_taken_in_the_end(void **state)
{
	static const struct turn turns[] = {
		{"GET", 404, QUICKER}, {"POST", 409, QUICKER},	 {"GET", 200, LEASE("1")},
		{"PUT", 409, QUICKER}, {"GET", 200, LEASE("2")}, {"PUT", 200, NULL},
	};
	struct script s = {.turns = turns, .n = sizeof(turns) / sizeof(turns[0])};
	struct fixture *f = *state;
	struct api_lease *l = NULL;
	struct fake_world w;

	sync_all(f);
	fake_world_start(&w, NULL, play, &s);
	expect_ok(api_lease_new(&(struct api_lease_in){.loop = w.loop,
						       .kube = w.kube,
						       .objects = f->o,
						       .node = "n1",
						       .namespace = "sluice-system",
						       .won = won,
						       .data = &w},
				&l, &w.e),
		  &w.e);
	assert_false(api_lease_held(l));
	fake_world_run_ms(&w, 25000);
	assert_true(api_lease_held(l));
	assert_string_equal(s.wrong, "");
	assert_int_equal(s.at, s.n);
	api_lease_free(l);
	fake_world_stop(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_lease_that_others_write_is_read_anew_and_taken_in_the_end, store_make,
			store_remove),
	};

	return cmocka_run_group_tests_name("reconcile/api_lease", tests, NULL, NULL);
}
