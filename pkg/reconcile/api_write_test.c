/* SPDX-License-Identifier: Apache-2.0 */
/* What the daemon writes while somebody else writes the same: 409, and what is there then. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/atomic_file.h"
#include "base/log.h"
#include "base/mem.h"
#include "reconcile/api_taint.h"
#include "reconcile/api_tell.h"
#include "reconcile/priv.h"
#include "testkit/fake_world.h"
#include "testkit/netns_fixture.h"
#include "testkit/objects_fixture.h"
#include "testkit/policy_fixture.h"

#define QUICKER "{\"kind\":\"Status\",\"message\":\"the object has been modified\"}"
#define SEEN	8

/* A server on which somebody else is always quicker at first. */
struct busy {
	pthread_mutex_t lock;
	const char *method, *path; /* whose requests are refused and written down */
	const char *found[SEEN];   /* what a GET of it finds, one after the other; the last stays */
	size_t refusals, n_found, n_got, n;
	char body[SEEN][1024], asked[SEEN][256];
	int64_t at[SEEN];
};

static size_t seen(struct busy *b)
{
	size_t n;

	pthread_mutex_lock(&b->lock);
	n = b->n;
	pthread_mutex_unlock(&b->lock);
	return n;
}

static bool write_down(struct busy *b, const struct fake_request *r)
{
	size_t n = b->n < SEEN - 1 ? b->n : SEEN - 1;

	snprintf(b->asked[n], sizeof(b->asked[n]), "%.255s", r->path);
	snprintf(b->body[n], sizeof(b->body[n]), "%.1023s", r->body ?: "");
	b->at[n] = clock_ms();
	return b->n++ < b->refusals;
}

static void answer(struct fake_conn *c, const struct fake_request *r, void *data)
{
	struct busy *b = data;
	bool its = strncmp(r->path, b->path, strlen(b->path)) == 0;
	const char *text = r->body ?: "{}";
	int status = 200;

	pthread_mutex_lock(&b->lock);
	if (its && strcmp(r->method, b->method) == 0) {
		status = write_down(b, r) ? 409 : 200;
		text = status == 409 ? QUICKER : b->found[b->n_found - 1];
	} else if (its && strcmp(r->method, "GET") == 0) {
		text = b->found[b->n_got < b->n_found - 1 ? b->n_got++ : b->n_found - 1];
	} else if (strcmp(r->method, "GET") == 0) { /* no Lease is there yet */
		status = 404;
	}
	pthread_mutex_unlock(&b->lock);
	fake_json(c, status, text);
}

static void until_seen(struct fake_world *w, struct busy *b, size_t n)
{
	for (int i = 0; seen(b) < n; i++) {
		if (i == 600)
			fail_msg("%zu requests in 30 s, expected %zu", seen(b), n);
		fake_world_run_ms(w, 50);
	}
}

/* ---- a daemon's part of it ---- */

struct daemon {
	struct daemon_conf conf;
	struct reconcile r;
	struct policy_fixture policies;
	struct fake_world w;
	int dir; /* the store's; its file "log" is ours */
};

static void daemon_start(struct daemon *d, struct fixture *f, struct busy *b)
{
	__cleanup_free char *path = NULL;
	struct err e = {0};

	*d = (struct daemon){.conf = {.node_name = (char *)"n1", .namespace = (char *)"sluice"}};
	d->r = (struct reconcile){.conf = &d->conf, .node_name = (char *)"n1", .last_ok_at = 1};
	d->r.policies.objects = f->o;
	d->dir = f->fd;
	path = mem_printf("%s/log", f->dir);
	expect_ok(log_open(LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT, path, &e), &e);
	pthread_mutex_init(&b->lock, NULL);
	fake_world_start(&d->w, NULL, answer, b);
}

/* As a pass does, where something changed. */
static void daemon_pass(struct daemon *d, struct fixture *f)
{
	struct compiled *old = d->policies.c;
	struct doc_set *set = NULL;

	if (!objects_set(f->o, &set))
		return;
	d->policies.set = set;
	policy_fixture_compile(&d->policies);
	d->r.policies.set = set;
	d->r.compiled = d->policies.c;
	compiled_free(old);
	doc_set_free(f->set);
	f->set = set;
}

/* It knows all that was put, and has made a pass of it. */
static void daemon_begin(struct daemon *d, struct fixture *f, struct busy *b)
{
	sync_all(f);
	daemon_start(d, f, b);
	policy_fixture_node(&d->policies, "n1", "eth0 192.0.2.1/24");
	daemon_pass(d, f);
}

/* How often the log says it. */
static int log_says(const struct daemon *d, const char *words)
{
	__cleanup_free char *text = NULL;
	struct err e = {0};
	size_t len;
	int n = 0;

	expect_ok(atomic_file_load(d->dir, "log", 65536, &text, &len, &e), &e);
	for (const char *p = text; (p = strstr(p, words)); p++)
		n++;
	return n;
}

static void daemon_end(struct daemon *d, struct busy *b)
{
	struct err e = {0};

	fake_world_stop(&d->w);
	expect_ok(log_open(LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT, NULL, &e), &e);

	unlinkat(d->dir, "log", 0);
	compiled_free(d->policies.c);
	pthread_mutex_destroy(&b->lock);
}

/* ---- taints ---- */

#define OURS "{\"key\":\"sluice.dev/not-ready\",\"effect\":\"NoSchedule\"}"
#define NODE(version, taints)                                                            \
	"{\"metadata\":{\"name\":\"n1\",\"resourceVersion\":\"" version "\"},\"spec\":{" \
	"\"taints\":[" taints "]}}"
#define PATCH(version, taints) \
	"{\"metadata\":{\"resourceVersion\":\"" version "\"},\"spec\":{\"taints\":[" taints "]}}"

/* By a daemon that has been told the node as b has it first. */
static struct api_taint *taint_looked_at(struct daemon *d, struct fixture *f, struct busy *b)
{
	struct api_taint *t = NULL;
	struct err e = {0};

	put(f, OBJECTS_NODES, b->found[0]);
	sync_all(f);
	daemon_start(d, f, b);
	expect_ok(api_taint_new(d->w.loop, d->w.kube, &d->r, &t, &e), &e);
	api_taint_look(t);
	return t;
}

/* A taint of somebody else's that came in between stays, and one that went does not come back. */
static void a_taint_is_taken_off_the_node_as_it_is_when_others_write_it_too(void **state)
{
	struct busy b = {
		.method = "PATCH",
		.path = "/api/v1/nodes/n1",
		.found = {NODE("7", "{\"key\":\"a\"}," OURS), NODE("8", OURS ",{\"key\":\"b\"}"),
			  NODE("9", "{\"key\":\"b\"},{\"key\":\"c\"}," OURS)},
		.n_found = 3,
		.refusals = 2,
	};
	struct api_taint *t;
	struct daemon d;

	t = taint_looked_at(&d, *state, &b);
	until_seen(&d.w, &b, 3);
	fake_world_run_ms(&d.w, 200);
	assert_int_equal(seen(&b), 3);
	assert_string_equal(b.body[0], PATCH("7", "{\"key\":\"a\"}"));
	assert_string_equal(b.body[1], PATCH("8", "{\"key\":\"b\"}"));
	assert_string_equal(b.body[2], PATCH("9", "{\"key\":\"b\"},{\"key\":\"c\"}"));
	assert_int_equal(log_says(&d, "taint taken off"), 1);
	assert_int_equal(log_says(&d, "level=warn"), 0); /* nothing is wrong */
	api_taint_free(t);
	daemon_end(&d, &b);
}

/* Who is refused for ever does not ask for ever at once, and says so. */
static void a_taint_that_is_always_written_by_others_is_left_in_peace_and_told_of(void **state)
{
	struct busy b = {.method = "PATCH",
			 .path = "/api/v1/nodes/n1",
			 .found = {NODE("7", OURS)},
			 .n_found = 1,
			 .refusals = SIZE_MAX};
	struct api_taint *t;
	struct daemon d;

	t = taint_looked_at(&d, *state, &b);
	until_seen(&d.w, &b, 5);
	assert_true(b.at[4] - b.at[3] >= 200);
	assert_int_equal(log_says(&d, "taint not taken off the node"), 1);
	assert_int_equal(log_says(&d, "the object has been modified"), 1);
	api_taint_free(t);
	daemon_end(&d, &b);
}

/* ---- status ---- */

#define POLICY(generation)                                                         \
	"{\"metadata\":{\"namespace\":\"shop\",\"name\":\"p\",\"uid\":\"u\","      \
	"\"generation\":" generation                                               \
	"},\"spec\":{\"subject\":{\"podSelector\":{}},\"rules\":[{\"name\":\"r\"," \
	"\"action\":\"Deny\"}]}}"

/* It is edited while its status is written: what is said in the end is of the edit. */
static void a_status_that_is_refused_as_too_late_is_written_of_what_is_there_then(void **state)
{
	struct busy b = {.method = "PATCH",
			 .path = "/apis/sluice.dev/v1alpha1/namespaces/shop/egresspolicies/p/",
			 .found = {POLICY("2")},
			 .n_found = 1,
			 .refusals = 1};
	struct fixture *f = *state;
	struct api_tell *t = NULL;
	struct err e = {0};
	struct daemon d;

	put(f, OBJECTS_POLICIES, POLICY("1"));
	daemon_begin(&d, f, &b);
	expect_ok(api_tell_new(d.w.loop, d.w.kube, &d.r, &t, &e), &e);
	until_seen(&d.w, &b, 1);
	put(f, OBJECTS_POLICIES, POLICY("2"));
	daemon_pass(&d, f);
	until_seen(&d.w, &b, 2);
	assert_non_null(strstr(b.asked[0], "/p/status?fieldManager=sluice&force=true"));
	assert_string_equal(b.asked[1], b.asked[0]);
	assert_non_null(strstr(b.body[0], "\"observedGeneration\":1"));
	assert_non_null(strstr(b.body[1], "\"observedGeneration\":2"));
	assert_true(b.at[1] - b.at[0] >= 200); /* not at once: those who write are left time */
	assert_int_equal(log_says(&d, "level=warn"), 0);
	api_tell_free(t);
	daemon_end(&d, &b);
}

/* ---- Events ---- */

static void an_address_that_two_carry_is_told_of_when_it_begins_and_when_it_ends(void **state)
{
	struct busy b = {.method = "POST",
			 .path = "/api/v1/namespaces/default/events",
			 .found = {"{}"},
			 .n_found = 1};
	const struct rivals_moment began = {1000, wall_ms()}, settled = {1080, wall_ms()};
	struct fixture *f = *state;
	struct api_tell *t = NULL;
	struct err e = {0};
	struct daemon d;
	struct addr a;

	addr_parse("203.0.113.10", &a);
	daemon_begin(&d, f, &b);
	rivals_begin(&d.r.rivals, a, "office", "n2", began);
	expect_ok(api_tell_new(d.w.loop, d.w.kube, &d.r, &t, &e), &e);
	until_seen(&d.w, &b, 1);
	assert_non_null(strstr(b.body[0], "\"reason\":\"Conflict\""));
	assert_non_null(strstr(b.body[0], "nodes n1 and n2 carry the same addresses, the first "
					  "one 203.0.113.10: node n2 lets go of them"));
	rivals_end(&d.r.rivals, a, settled);
	api_tell_soon(t);
	until_seen(&d.w, &b, 2);
	assert_non_null(strstr(b.body[1], "\"reason\":\"ConflictSettled\""));
	assert_non_null(strstr(b.body[1], "node n2 has let go of 1 addresses (203.0.113.10) that "
					  "node n1 carries, after 80 ms"));
	api_tell_free(t);
	rivals_done(&d.r.rivals);
	daemon_end(&d, &b);
}

#define GATEWAY                                                                                    \
	"{\"metadata\":{\"name\":\"office\",\"uid\":\"o\",\"generation\":1,"                       \
	"\"resourceVersion\":\"2\"},\"spec\":{\"addresses\":[{\"range\":\"192.0.2.8-192.0.2.9\"}]" \
	","                                                                                        \
	"\"allowedNamespaces\":{}}}"

/* Of all connections of the node: so each gateway is told once, and only while it carries any. */
static void a_kernel_s_table_that_is_nearly_full_is_told_of_each_gateway_here(void **state)
{
	struct busy b = {.method = "POST",
			 .path = "/api/v1/namespaces/default/events",
			 .found = {"{}"},
			 .n_found = 1};
	struct fixture *f = *state;
	struct api_tell *t = NULL;
	struct err e = {0};
	struct daemon d;

	put(f, OBJECTS_GATEWAYS, GATEWAY);
	put(f, OBJECTS_NODES, NODE("1", ""));
	daemon_begin(&d, f, &b);
	d.r.usage.max = 1000;
	d.r.usage.count = 799;
	expect_ok(api_tell_new(d.w.loop, d.w.kube, &d.r, &t, &e), &e);
	fake_world_run_ms(&d.w, 500);
	assert_int_equal(seen(&b), 0);
	d.r.usage.count = 800;
	api_tell_soon(t);
	until_seen(&d.w, &b, 1);
	fake_world_run_ms(&d.w, 300);
	assert_int_equal(seen(&b), 1);
	assert_non_null(strstr(b.body[0], "\"reason\":\"ConnectionsNearlyFull\""));
	assert_non_null(strstr(b.body[0], "\"name\":\"office\""));
	assert_non_null(strstr(b.body[0], "more than 80 % of the 1000 connections that the kernel "
					  "of node n1 has room for are in its table"));
	api_tell_free(t);
	daemon_end(&d, &b);
}

#define CARRIED(version, node)                                                             \
	"{\"metadata\":{\"name\":\"office\",\"uid\":\"o\",\"generation\":1,"               \
	"\"resourceVersion\":\"" version                                                   \
	"\"},\"spec\":{\"addresses\":[{\"range\":\"192.0.2.1\"}],"                         \
	"\"allowedNamespaces\":{}},\"status\":{\"addresses\":[{\"address\":\"192.0.2.1\"," \
	"\"node\":\"" node "\"}]}}"

/* Both carry it, and neither hears the other. */
static void what_another_node_says_of_an_address_of_ours_is_not_answered_at_once(void **state)
{
	struct busy b = {.method = "PATCH",
			 .path = "/apis/sluice.dev/v1alpha1/egressgateways/office/"
				 "status?fieldManager=sluice-n1",
			 .found = {CARRIED("9", "n2")},
			 .n_found = 1};
	struct fixture *f = *state;
	struct api_tell *t = NULL;
	struct err e = {0};
	struct daemon d;

	put(f, OBJECTS_GATEWAYS, CARRIED("2", "n2"));
	put(f, OBJECTS_NODES, NODE("1", ""));
	daemon_begin(&d, f, &b);
	expect_ok(api_tell_new(d.w.loop, d.w.kube, &d.r, &t, &e), &e);
	until_seen(&d.w, &b, 1);
	for (int i = 0; i < 10; i++) {
		daemon_pass(&d, f);
		api_tell_soon(t);
		fake_world_run_ms(&d.w, 250);
	}
	assert_int_equal(seen(&b), 1);
	until_seen(&d.w, &b, 2);
	assert_non_null(strstr(b.body[1], "\"node\":\"n1\""));
	api_tell_free(t);
	daemon_end(&d, &b);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, store_make, store_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_taint_is_taken_off_the_node_as_it_is_when_others_write_it_too),
		TEST(a_taint_that_is_always_written_by_others_is_left_in_peace_and_told_of),
		TEST(a_status_that_is_refused_as_too_late_is_written_of_what_is_there_then),
		TEST(a_kernel_s_table_that_is_nearly_full_is_told_of_each_gateway_here),
		TEST(what_another_node_says_of_an_address_of_ours_is_not_answered_at_once),
		TEST(an_address_that_two_carry_is_told_of_when_it_begins_and_when_it_ends),
	};

	return cmocka_run_group_tests_name("reconcile/api_write", tests, NULL, NULL);
}
