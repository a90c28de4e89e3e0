/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "bpf/abi.h"
#include "policy/image.h"
#include "policy/image_format.h"
#include "testkit/policy_fixture.h"

#define POLICY(NS, NAME, SELECTOR, RULE)                                                   \
	"---\napiVersion: sluice.dev/v1alpha1\nkind: EgressPolicy\nmetadata: {name: " NAME \
	", namespace: " NS "}\nspec: {subject: {podSelector: " SELECTOR "}, rules: [" RULE "]}\n"
#define DENY_X "{name: x, action: Deny, to: [{cidr: 198.51.100.0/24}]}"
#define DENY_Y "{name: y, action: Deny, to: [{cidr: 192.0.2.0/24}]}"
#define POD                                                                                       \
	"---\napiVersion: v1\nkind: Pod\nmetadata: {name: web-1, namespace: shop, labels: {app: " \
	"web, a: b}}\n"
#define DOCS                                                       \
	POLICY("shop", "web", "{matchLabels: {app: web}}", DENY_X) \
	POLICY("shop", "db", "{matchLabels: {app: db}}", DENY_Y)   \
	POLICY("bank", "web", "{matchLabels: {app: web}}", DENY_X) \
	POLICY("all", "all", "{}", DENY_Y) POD

static struct image_answer ask(const struct policy_fixture *f, const struct image_program *programs,
			       size_t n, const char *ns, const char *labels)
{
	static const char *const exempt[] = {"vms", "bank"};
	struct image_info info = {.generation = 7,
				  .mark_mask = SLU_MARK_MASK_DEFAULT,
				  .source_exempt = exempt,
				  .n_source_exempt = 2};
	struct pod_info pod = {.namespace = ns, .name = "p", .labels_known = labels != NULL};
	struct image_answer a;
	struct image img;
	struct image_info got;
	uint8_t *data;
	size_t len;

	if (labels)
		pod.labels = labels_from_text(labels);
	assert_int_equal(image_build(f->c, &info, programs, n, &data, &len), 0);
	assert_int_equal(image_open(&img, data, len, NULL), 0);
	image_info_get(&img, &got);
	assert_int_equal(got.generation, 7);
	assert_int_equal(image_resolve(&img, &pod, &a), 0);
	labels_done(&pod.labels);
	free(data);
	return a;
}

static void a_pod_that_no_policy_selects_is_free(void **state)
{
	struct policy_fixture f;

	policy_fixture_init(&f, DOCS, "n1", "eth0 192.0.2.1/24");
	assert_int_equal(ask(&f, NULL, 0, "shop", "app=cache").kind, IMAGE_FREE);
	assert_int_equal(ask(&f, NULL, 0, "none", "app=web").kind, IMAGE_FREE);
	policy_fixture_done(&f);
}

static void a_combination_that_is_not_in_the_kernel_says_so(void **state)
{
	struct policy_fixture f;

	policy_fixture_init(&f, DOCS, "n1", "eth0 192.0.2.1/24");
	assert_int_equal(ask(&f, NULL, 0, "shop", "app=web").kind, IMAGE_NO_PROGRAM);
	policy_fixture_done(&f);
}

static void the_image_answers_what_policy_resolve_answers(void **state)
{
	struct policy_fixture f;
	struct pod_info pod = {.namespace = "shop", .name = "p", .labels_known = true};
	struct image_program programs[2] = {{.key = 1, .policy = 9}};
	struct image_answer a;
	struct binding b;

	policy_fixture_init(&f, DOCS, "n1", "eth0 192.0.2.1/24");
	pod.labels = labels_from_text("app=web");
	assert_int_equal(policy_resolve(f.c, &pod, &b), 0);
	assert_int_equal(b.n, 1);
	programs[1] = (struct image_program){b.key, 5};
	a = ask(&f, programs, 2, "shop", "app=web");
	assert_int_equal(a.kind, IMAGE_POLICY);
	assert_int_equal(a.policy, 5);
	assert_true(a.key == b.key);
	assert_int_equal(a.n_policies, 1);
	assert_int_equal(a.policies[0], b.policies[0]);
	assert_int_equal(a.spread, pod_spread("shop", "p"));
	assert_int_equal(a.flags, 0);
	/* same content in another namespace: another program, for hits and logs name its rules */
	a = ask(&f, programs, 2, "bank", "app=web");
	assert_int_equal(a.kind, IMAGE_NO_PROGRAM);
	assert_int_equal(a.policy, 0);
	assert_int_equal(a.flags, SLU_POD_NO_SOURCE_CHECK);
	binding_done(&b);
	labels_done(&pod.labels);
	policy_fixture_done(&f);
}

static void unknown_labels_matter_only_where_they_could_decide(void **state)
{
	struct policy_fixture f;

	policy_fixture_init(&f, DOCS, "n1", "eth0 192.0.2.1/24");
	assert_int_equal(ask(&f, NULL, 0, "shop", NULL).kind, IMAGE_UNDECIDED);
	assert_int_equal(ask(&f, NULL, 0, "none", NULL).kind, IMAGE_FREE);
	assert_int_equal(ask(&f, NULL, 0, "all", NULL).kind, IMAGE_NO_PROGRAM);
	policy_fixture_done(&f);
}

static void implied_labels_are_known_even_when_others_are_not(void **state)
{
	struct policy_fixture f;
	struct pod_info pod = {.namespace = "shop", .name = "p"};
	struct binding b;

	policy_fixture_init(
		&f, POLICY("shop", "net", "{matchLabels: {sluice.dev/network: blue}}", DENY_X),
		"n1", "eth0 192.0.2.1/24");
	pod.labels = labels_from_text("sluice.dev/network=red");
	assert_int_equal(policy_resolve(f.c, &pod, &b), 0);
	assert_int_equal(b.n, 0);
	labels_set(&pod.labels, "sluice.dev/network", "blue");
	assert_int_equal(policy_resolve(f.c, &pod, &b), 0);
	assert_int_equal(b.n, 1);
	binding_done(&b);
	labels_done(&pod.labels);
	policy_fixture_done(&f);
}

static void an_edit_gives_a_new_key_and_so_does_a_new_name(void **state)
{
	static const char *const docs[] = {
		POLICY("shop", "web", "{}", DENY_X),
		POLICY("shop", "web", "{matchLabels: {app: web}}", DENY_X),
		POLICY("shop", "other", "{}", DENY_X),
		POLICY("shop", "web", "{}",
		       "{name: z, action: Deny, to: [{cidr: 198.51.100.0/24}]}"),
		POLICY("shop", "web", "{}", DENY_Y),
		POLICY("shop", "web", "{}",
		       "{name: x, action: Reject, to: [{cidr: 198.51.100.0/24}]}"),
		POLICY("shop", "web", "{}",
		       "{name: x, action: Deny, to: [{cidr: 198.51.100.0/24}], ports: [{protocol: "
		       "TCP}]}"),
		POLICY("shop", "web", "{}",
		       "{name: x, action: Deny, to: [{cidr: 198.51.100.0/24, except: "
		       "[198.51.100.0/25]}]}"),
		POLICY("shop", "web", "{}",
		       "{name: x, action: Deny, to: [{cidr: 198.51.100.0/24}], via: {node: {}}}"),
		POLICY("shop", "web", "{}",
		       "{name: x, action: Deny, to: [{cidr: 198.51.100.0/24}], via: {gateway: g}}"),
	};
	uint64_t keys[sizeof(docs) / sizeof(*docs)];

	for (size_t i = 0; i < sizeof(docs) / sizeof(*docs); i++) {
		struct policy_fixture f;

		policy_fixture_init(&f, docs[i], "n1", "eth0 192.0.2.1/24");
		keys[i] = ask(&f, NULL, 0, "shop", "app=web").key;
		policy_fixture_done(&f);
	}
	assert_true(keys[0] == keys[1]); /* whom it selects is not what it says */
	for (size_t i = 1; i < sizeof(docs) / sizeof(*docs); i++)
		for (size_t j = i + 1; j < sizeof(docs) / sizeof(*docs); j++)
			assert_true(keys[i] != keys[j]);
}

#define AUDIT(NS, NAME, SELECTOR, RULE)                                                    \
	"---\napiVersion: sluice.dev/v1alpha1\nkind: EgressPolicy\nmetadata: {name: " NAME \
	", namespace: " NS "}\nspec: {mode: Audit, subject: {podSelector: " SELECTOR       \
	"}, rules: [" RULE "]}\n"
#define ON_SERVICES(NS, NAME, SERVICES, RULE)                                              \
	"---\napiVersion: sluice.dev/v1alpha1\nkind: EgressPolicy\nmetadata: {name: " NAME \
	", namespace: " NS "}\nspec: {subject: {services: [" SERVICES "]}, rules: [" RULE "]}\n"
#define SERVICE(NS, NAME, LABELS)                                                       \
	"---\napiVersion: v1\nkind: Service\nmetadata: {name: " NAME ", namespace: " NS \
	"}\nspec: {selector: " LABELS "}\n"

/* Nothing waits for what is only tried out: the kind is that of the enforced policies. */
static void the_image_names_the_program_of_the_audit(void **state)
{
	struct pod_info pod = {.namespace = "shop", .name = "p", .labels_known = true};
	struct image_program programs[2] = {{.policy = 5}, {.policy = 6}};
	struct policy_fixture f;
	struct image_answer a;
	struct binding b;

	policy_fixture_init(&f,
			    POLICY("shop", "web", "{matchLabels: {app: web}}", DENY_X)
				    AUDIT("shop", "try", "{matchLabels: {tier: a}}", DENY_Y),
			    "n1", "eth0 192.0.2.1/24");
	pod.labels = labels_from_text("app=web tier=a");
	assert_int_equal(policy_resolve(f.c, &pod, &b), 0);
	assert_int_equal(b.n, 1);
	programs[0].key = b.key;
	binding_done(&b);
	assert_int_equal(policy_resolve_audit(f.c, &pod, &b), 0);
	assert_int_equal(b.n, 2);
	programs[1].key = b.key;
	binding_done(&b);
	a = ask(&f, programs, 2, "shop", "app=web tier=a");
	assert_int_equal(a.kind, IMAGE_POLICY);
	assert_int_equal(a.policy, 5);
	assert_true(a.audit_key == programs[1].key);
	assert_int_equal(a.audit_policy, 6);
	assert_int_equal(a.n_policies, 1);
	a = ask(&f, programs, 1, "shop", "app=web tier=a"); /* the audit's is not there yet */
	assert_int_equal(a.kind, IMAGE_POLICY);
	assert_true(a.audit_key == programs[1].key);
	assert_int_equal(a.audit_policy, 0);
	a = ask(&f, programs, 2, "shop", "app=web");
	assert_true(a.audit_key == 0 && a.audit_policy == 0);
	a = ask(&f, programs, 2, "shop", "tier=a");
	assert_int_equal(a.kind, IMAGE_FREE);
	assert_true(a.audit_key != 0 && a.audit_key != programs[1].key);
	a = ask(&f, programs, 2, "shop", NULL);
	assert_int_equal(a.kind, IMAGE_UNDECIDED);
	assert_true(a.audit_key == 0);
	labels_done(&pod.labels);
	policy_fixture_done(&f);
}

static void an_audit_policy_leaves_no_pod_undecided(void **state)
{
	struct policy_fixture f;

	policy_fixture_init(&f, AUDIT("shop", "try", "{matchLabels: {tier: a}}", DENY_Y), "n1",
			    "eth0 192.0.2.1/24");
	assert_int_equal(ask(&f, NULL, 0, "shop", NULL).kind, IMAGE_FREE);
	policy_fixture_done(&f);
}

static void services_select_by_their_selectors_as_they_are_now(void **state)
{
	static const struct {
		const char *service, *labels;
		enum image_answer_kind kind;
	} rows[] = {
		{SERVICE("shop", "b", "{app: web}"), "app=web", IMAGE_NO_PROGRAM},
		{SERVICE("shop", "b", "{app: web}"), "app=db", IMAGE_NO_PROGRAM}, /* by a */
		{SERVICE("shop", "b", "{app: web}"), "app=x", IMAGE_FREE},
		{SERVICE("shop", "b", "{app: web}"), NULL, IMAGE_UNDECIDED},
		{SERVICE("shop", "b", "{app: x}"), "app=web", IMAGE_FREE},
		{SERVICE("shop", "b", "{app: x}"), "app=x", IMAGE_NO_PROGRAM},
		{SERVICE("bank", "b", "{app: web}"), "app=web", IMAGE_FREE},
		{SERVICE("shop", "b", "{}"), "app=web", IMAGE_FREE},
		{"", "app=web", IMAGE_FREE},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char *yaml = mem_printf(SERVICE("shop", "a", "{app: db}")
						ON_SERVICES("shop", "p", "a, b, gone", DENY_X) "%s",
					rows[i].service);
		struct policy_fixture f;

		policy_fixture_init(&f, yaml, "n1", "eth0 192.0.2.1/24");
		assert_int_equal(ask(&f, NULL, 0, "shop", rows[i].labels).kind, rows[i].kind);
		assert_int_equal(ask(&f, NULL, 0, "bank", rows[i].labels).kind, IMAGE_FREE);
		policy_fixture_done(&f);
		free(yaml);
	}
}

static void a_policy_on_services_that_are_not_there_decides_nobody(void **state)
{
	struct policy_fixture f;

	policy_fixture_init(&f, ON_SERVICES("shop", "p", "gone", DENY_X), "n1",
			    "eth0 192.0.2.1/24");
	assert_int_equal(ask(&f, NULL, 0, "shop", NULL).kind, IMAGE_FREE);
	policy_fixture_done(&f);
}

static void pods_of_the_folder_have_their_labels(void **state)
{
	struct policy_fixture f;
	struct image_info info = {};
	struct labels labels;
	struct image img;
	uint8_t *data;
	size_t len;

	policy_fixture_init(&f, DOCS, "n1", "eth0 192.0.2.1/24");
	assert_int_equal(image_build(f.c, &info, NULL, 0, &data, &len), 0);
	assert_int_equal(image_open(&img, data, len, NULL), 0);
	assert_int_equal(image_pod_labels(&img, "shop", "web-1", &labels), 0);
	assert_string_equal(labels_get(&labels, "app"), "web");
	labels_done(&labels);
	assert_int_equal(image_pod_labels(&img, "shop", "web-2", &labels), -ENOENT);
	free(data);
	policy_fixture_done(&f);
}

static void damage_is_refused(void **state)
{
	struct policy_fixture f;
	struct image_info info = {};
	struct image img;
	uint8_t *data;
	size_t len;

	policy_fixture_init(&f, DOCS, "n1", "eth0 192.0.2.1/24");
	assert_int_equal(image_build(f.c, &info, NULL, 0, &data, &len), 0);
	for (size_t i = 0; i < len; i++) {
		assert_int_not_equal(image_open(&img, data, i, NULL), 0);
		data[i] ^= 0x10;
		assert_int_not_equal(image_open(&img, data, len, NULL), 0);
		data[i] ^= 0x10;
	}
	data[offsetof(struct image_header, version)] = 99;
	assert_int_equal(image_open(&img, data, len, NULL), -EPROTO);
	free(data);
	policy_fixture_done(&f);
}

/* With a checksum that fits: as whoever can write the snapshot would. */
static void a_string_that_does_not_end_is_refused(void **state)
{
	static const enum image_section texts[] = {IMAGE_STRINGS, IMAGE_EXEMPT};
	const char *exempt[] = {"virtual-machines"};
	struct image_info info = {.source_exempt = exempt, .n_source_exempt = 1};
	struct policy_fixture f;
	struct image_header h;
	struct image img;
	struct err e = {0};
	uint8_t *data;
	size_t len;

	policy_fixture_init(&f, DOCS, "n1", "eth0 192.0.2.1/24");
	assert_int_equal(image_build(f.c, &info, NULL, 0, &data, &len), 0);
	memcpy(&h, data, sizeof(h));
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		uint8_t *last = data + h.sections[texts[i]].offset + h.sections[texts[i]].count - 1;

		assert_true(h.sections[texts[i]].count > 0);
		*last = 'x';
		image_set_generation(data, len, 1);
		assert_int_equal(image_open(&img, data, len, &e), -EINVAL);
		assert_non_null(strstr(e.msg, "a string does not end"));
		*last = '\0';
		image_set_generation(data, len, 1);
		assert_int_equal(image_open(&img, data, len, NULL), 0);
	}
	free(data);
	policy_fixture_done(&f);
}

/* The index is a shortcut: it must find exactly what selector_matches finds. */
static void the_index_misses_nothing(void **state)
{
	static const char *const selectors[] = {
		"{}",
		"{matchLabels: {app: web}}",
		"{matchLabels: {app: web, tier: front}}",
		"{matchExpressions: [{key: app, operator: In, values: [web, db]}]}",
		"{matchExpressions: [{key: app, operator: NotIn, values: [web]}]}",
		"{matchExpressions: [{key: tier, operator: Exists}]}",
		"{matchExpressions: [{key: tier, operator: DoesNotExist}]}",
	};
	static const char *const pods[] = {
		"", "app=web", "app=db tier=front", "app=web tier=front", "tier=back", "app=x y=z"};
	char *yaml = mem_strdup("");
	struct policy_fixture f;

	for (size_t i = 0; i < sizeof(selectors) / sizeof(*selectors); i++) {
		char *longer = mem_printf("%s" POLICY("shop", "p%zu", "%s", DENY_X), yaml, i,
					  selectors[i]);

		free(yaml);
		yaml = longer;
	}
	policy_fixture_init(&f, yaml, "n1", "eth0 192.0.2.1/24");
	for (size_t i = 0; i < sizeof(pods) / sizeof(*pods); i++) {
		struct pod_info pod = {.namespace = "shop", .name = "p", .labels_known = true};
		struct binding b;
		size_t want = 0;

		pod.labels = labels_from_text(pods[i]);
		for (size_t j = 0; j < f.set->n_policies; j++)
			want += selector_matches(&f.set->policies[j]->pods, &pod.labels);
		assert_int_equal(policy_resolve(f.c, &pod, &b), 0);
		assert_int_equal(b.n, want);
		binding_done(&b);
		labels_done(&pod.labels);
	}
	policy_fixture_done(&f);
	free(yaml);
}

static void two_generations_of_one_content_are_alike_but_for_that(void **state)
{
	struct image_info early = {.generation = 3, .mark_mask = SLU_MARK_MASK_DEFAULT},
			  late = early;
	struct policy_fixture f;
	uint8_t *a, *b;
	struct image img;
	size_t n_a, n_b;

	late.generation = 7;
	policy_fixture_init(&f, DOCS, "n1", "eth0 192.0.2.1/24");
	assert_int_equal(image_build(f.c, &early, NULL, 0, &a, &n_a), 0);
	assert_int_equal(image_build(f.c, &late, NULL, 0, &b, &n_b), 0);
	assert_int_equal(n_a, n_b);
	assert_memory_not_equal(a, b, n_a);
	image_set_generation(b, n_b, 3);
	assert_memory_equal(a, b, n_a);
	assert_int_equal(image_open(&img, b, n_b, NULL), 0);
	free(a);
	free(b);
	policy_fixture_done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pod_that_no_policy_selects_is_free),
		cmocka_unit_test(a_combination_that_is_not_in_the_kernel_says_so),
		cmocka_unit_test(the_image_answers_what_policy_resolve_answers),
		cmocka_unit_test(unknown_labels_matter_only_where_they_could_decide),
		cmocka_unit_test(implied_labels_are_known_even_when_others_are_not),
		cmocka_unit_test(an_edit_gives_a_new_key_and_so_does_a_new_name),
		cmocka_unit_test(the_image_names_the_program_of_the_audit),
		cmocka_unit_test(an_audit_policy_leaves_no_pod_undecided),
		cmocka_unit_test(services_select_by_their_selectors_as_they_are_now),
		cmocka_unit_test(a_policy_on_services_that_are_not_there_decides_nobody),
		cmocka_unit_test(pods_of_the_folder_have_their_labels),
		cmocka_unit_test(two_generations_of_one_content_are_alike_but_for_that),
		cmocka_unit_test(damage_is_refused),
		cmocka_unit_test(a_string_that_does_not_end_is_refused),
		cmocka_unit_test(the_index_misses_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
