/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/shared.h"
#include "policy/image.h"
#include "testkit/policy_fixture.h"

static struct doc_item *item_of(const char *yaml)
{
	struct doc_set *set = doc_set_new();
	struct err e = {0};

	if (doc_set_add_text(set, "a.yaml", yaml, strlen(yaml), &e) < 0 ||
	    doc_set_finish(set, &e) < 0)
		fail_msg("%s", e.msg);
	return doc_item_new(set);
}

static struct doc_item *pod(const char *name, const char *labels)
{
	__cleanup_free char *yaml = mem_printf(
		"{apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: %s, uid: u-%s, "
		"labels: {%s}}, spec: {nodeName: n1, hostNetwork: true}}",
		name, name, labels);

	return item_of(yaml);
}

static void a_pod_is_what_was_read_and_has_in_common_what_others_say_too(void **state)
{
	struct doc_item *items[] = {pod("a", "tier: x, app: web"), pod("b", "app: web, tier: x"),
				    pod("c", "app: web")};
	const struct doc_pod *a = doc_item_pod(items[0]), *b = doc_item_pod(items[1]),
			     *c = doc_item_pod(items[2]);

	assert_string_equal(a->meta.name, "a");
	assert_string_equal(a->meta.namespace, "shop");
	assert_string_equal(doc_pod_uid(a), "u-a");
	assert_string_equal(a->node_name, "n1");
	assert_true(a->host_network);
	assert_int_equal(a->meta.labels.n, 2);
	assert_string_equal(labels_get(&a->meta.labels, "app"), "web");
	assert_string_equal(labels_get(&a->meta.labels, "tier"), "x");
	assert_null(labels_get(&c->meta.labels, "tier"));
	assert_ptr_equal(a->meta.labels.items, b->meta.labels.items);
	assert_ptr_equal(a->meta.namespace, c->meta.namespace);
	assert_ptr_equal(a->node_name, c->node_name);
	assert_null(doc_item_policy(items[0]));
	for (size_t i = 0; i < 3; i++)
		doc_item_free(items[i]);
	assert_int_equal(shared_count(), 0);
}

static void a_pod_may_say_next_to_nothing(void **state)
{
	struct doc_item *item = item_of("{apiVersion: v1, kind: Pod, metadata: {name: a}}");
	const struct doc_pod *p = doc_item_pod(item);

	assert_string_equal(p->meta.namespace, "default");
	assert_int_equal(p->meta.labels.n, 0);
	assert_null(doc_pod_uid(p));
	assert_null(p->node_name);
	doc_item_free(item);
	assert_int_equal(shared_count(), 0);
}

static void a_pod_says_the_uid_that_it_was_given(void **state)
{
#define UID "40e7238c-2763-4821-bf89-06d84c11abc5"
	static const char *const uids[] = {UID, "40E7238C-2763-4821-BF89-06D84C11ABC5", UID "0",
					   "u-1"};

	for (size_t i = 0; i < sizeof(uids) / sizeof(*uids); i++) {
		__cleanup_free char *yaml = mem_printf(
			"{apiVersion: v1, kind: Pod, metadata: {name: a, "
			"uid: %s}}",
			uids[i]);
		struct doc_item *item = item_of(yaml);

		assert_string_equal(doc_pod_uid(doc_item_pod(item)), uids[i]);
		assert_int_equal(doc_item_pod(item)->uid_kind, i ? POD_UID_TEXT : POD_UUID);
		doc_item_free(item);
	}
}

static void a_set_of_items_keeps_them_until_it_goes(void **state)
{
	struct doc_item *items[] = {
		item_of("{apiVersion: v1, kind: Namespace, metadata: {name: shop}}"),
		pod("a", "app: web"), pod("b", ""), doc_item_new(doc_set_new())};
	struct doc_set *one = doc_set_new(), *two = doc_set_new();

	for (size_t i = 0; i < 4; i++) {
		doc_set_add_item(one, items[i]);
		if (i != 1)
			doc_set_add_item(two, items[i]);
		doc_item_free(items[i]);
	}
	assert_int_equal(one->n_pods, 2);
	assert_int_equal(one->n_namespaces, 1);
	assert_string_equal(one->pods[0]->meta.name, "a");
	assert_ptr_equal(one->pods[1], two->pods[0]);
	assert_ptr_equal(one->namespaces[0].meta.name, two->namespaces[0].meta.name);
	doc_set_free(one);
	assert_string_equal(two->pods[0]->meta.name, "b");
	assert_string_equal(two->namespaces[0].meta.name, "shop");
	doc_set_free(two);
	assert_int_equal(shared_count(), 0);
}

#define OURS "apiVersion: sluice.dev/v1alpha1, kind: "

/* All that a policy may say, in the order in which a store gives them. */
static const char *const objects[] = {
	"{" OURS "EgressGateway, metadata: {name: office}, spec: {addresses: [{range: 192.0.2.8}, "
	"{range: \"2001:db8::8\"}], allowedNamespaces: {}}}",
	"{" OURS "ClusterEgressPolicy, metadata: {name: all, labels: {x: \"1\"}}, spec: {tier: "
	"Baseline, mode: Audit, subject: {podSelector: {}, namespaceSelector: {matchExpressions: "
	"[{key: env, operator: NotIn, values: [b, a]}, {key: env, operator: Exists}]}, "
	"nodeSelector: {matchLabels: {pool: a}}}, rules: [{name: one, action: Deny, to: [{nodes: "
	"{matchLabels: {pool: a}}}, {destinationSelector: {matchLabels: {kind: saas}}}]}]}}",
	"{" OURS "EgressPolicy, metadata: {name: a, namespace: shop}, spec: {priority: 7, "
	"existingConnections: Reset, subject: {services: [web, db]}, rules: [{name: two, action: "
	"Allow, log: true, to: [{cidr: 198.51.100.0/24, except: [198.51.100.7/32, "
	"198.51.100.64/26]}, {fqdn: \"*.example.com\"}, {destination: {name: d}}, {destination: "
	"{kind: ClusterEgressDestination, name: c}}], ports: [{protocol: TCP, port: 443}, "
	"{protocol: UDP}], via: {gateway: office, addresses: [192.0.2.8], unavailable: Node}}, "
	"{action: Reject, schedule: {endAt: \"2030-01-01T00:00:00Z\"}}], default: {via: "
	"{gateway: office}}}}",
	"{" OURS "EgressPolicy, metadata: {name: b, namespace: shop}, spec: {subject: "
	"{podSelector: {matchLabels: {app: web}}}, rules: [{action: Allow, to: [{cidr: "
	"198.51.100.0/24, except: [198.51.100.7/32, 198.51.100.64/26]}, {fqdn: "
	"\"*.example.com\"}, {destination: {name: d}}], ports: [{protocol: TCP, port: 443}, "
	"{protocol: UDP}], via: {gateway: office, addresses: [192.0.2.8], unavailable: Node}}], "
	"default: {action: Deny, via: {node: {}}}}}",
	"{" OURS "EgressPolicy, metadata: {name: none, namespace: shop}, spec: {subject: "
	"{podSelector: {}}}}",
	"{" OURS "ClusterEgressDestination, metadata: {name: c, labels: {kind: saas}}, spec: "
	"{cidrs: [203.0.113.0/24]}}",
	"{" OURS "EgressDestination, metadata: {name: d, namespace: shop}, spec: {fqdns: "
	"[api.example.net]}}",
	"{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {env: c}}}",
	"{apiVersion: v1, kind: Node, metadata: {name: n1, labels: {pool: a}}, status: {addresses: "
	"[{type: InternalIP, address: 192.0.2.1}]}}",
	"{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: shop, labels: {app: web}}}",
	"{apiVersion: v1, kind: Pod, metadata: {name: b, namespace: shop, labels: {app: web}}}",
	"{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}, spec: {selector: "
	"{app: web}}}",
};

static void compiled_alike(struct policy_fixture *a, struct policy_fixture *b)
{
	__cleanup_free uint8_t *x = NULL, *y = NULL;
	size_t n_x, n_y;

	policy_fixture_compile(a);
	policy_fixture_compile(b);
	assert_int_equal(compiled_policy_count(a->c), 3);
	assert_true(compiled_digest(a->c) == compiled_digest(b->c));
	image_build_subjects(a->c, &x, &n_x);
	image_build_subjects(b->c, &y, &n_y);
	assert_int_equal(n_x, n_y);
	assert_memory_equal(x, y, n_x);
}

static void what_is_packed_means_what_was_read(void **state)
{
	struct policy_fixture packed, read;
	struct err e = {0};

	policy_fixture_node(&packed, "n1", "eth0 192.0.2.1/24");
	policy_fixture_node(&read, "n1", "eth0 192.0.2.1/24");
	packed.set = doc_set_new();
	read.set = doc_set_new();
	for (size_t i = 0; i < sizeof(objects) / sizeof(objects[0]); i++) {
		struct doc_item *item = item_of(objects[i]);
		const struct doc_policy *p = doc_item_policy(item);

		doc_set_add_item(packed.set, item);
		doc_item_free(item);
		if (p) {
			assert_string_equal(doc_src_file(&p->meta.src), "a.yaml");
			assert_int_equal(doc_src_line(&p->meta.src), 1);
		}
		if (doc_set_add_text(read.set, "a.yaml", objects[i], strlen(objects[i]), &e) < 0)
			fail_msg("%s", e.msg);
	}
	if (doc_set_finish(read.set, &e) < 0)
		fail_msg("%s", e.msg);
	compiled_alike(&packed, &read);
	policy_fixture_done(&packed);
	policy_fixture_done(&read);
	assert_int_equal(shared_count(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pod_is_what_was_read_and_has_in_common_what_others_say_too),
		cmocka_unit_test(a_pod_may_say_next_to_nothing),
		cmocka_unit_test(a_pod_says_the_uid_that_it_was_given),
		cmocka_unit_test(a_set_of_items_keeps_them_until_it_goes),
		cmocka_unit_test(what_is_packed_means_what_was_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
