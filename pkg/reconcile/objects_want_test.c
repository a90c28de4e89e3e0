/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked for of an object, and what is made of it, are two tables: they must agree. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "json/json.h"
#include "reconcile/objects_priv.h"

#define META                                                                                       \
	"\"metadata\":{\"name\":\"a\",\"namespace\":\"shop\",\"uid\":\"u-1\",\"resourceVersion\":" \
	"\"7\",\"generation\":3,\"creationTimestamp\":\"2026-11-21T06:00:00Z\","                   \
	"\"deletionTimestamp\":\"2026-11-21T07:00:00Z\",\"labels\":{\"app\":\"web\"},"             \
	"\"annotations\":{\"x\":\"y\"},\"managedFields\":[{\"a\":1}]}"

static const char *const samples[OBJECTS_N] = {
	[OBJECTS_CONFIGS] = "{" META ",\"spec\":{\"clusterCIDRs\":[\"10.0.0.0/8\"]}}",
	[OBJECTS_GATEWAYS] = "{" META
			     ",\"spec\":{\"addresses\":[{\"range\":\"192.0.2.1\"}]},\"status\":{"
			     "\"addresses\":[{\"address\":\"192.0.2.1\"}]}}",
	[OBJECTS_CLUSTER_POLICIES] = "{" META ",\"spec\":{\"subject\":{}},\"status\":{\"a\":1}}",
	[OBJECTS_POLICIES] = "{" META ",\"spec\":{\"subject\":{}},\"status\":{\"a\":1}}",
	[OBJECTS_CLUSTER_DESTINATIONS] = "{" META ",\"spec\":{\"cidrs\":[]}}",
	[OBJECTS_DESTINATIONS] = "{" META ",\"spec\":{\"cidrs\":[]}}",
	[OBJECTS_NAMESPACES] = "{" META ",\"spec\":{\"finalizers\":[\"kubernetes\"]}}",
	[OBJECTS_NODES] =
		"{" META
		",\"spec\":{\"podCIDR\":\"10.244.1.0/24\",\"podCIDRs\":[\"10.244.1.0/24\"],"
		"\"unschedulable\":true,\"taints\":[{\"key\":\"sluice.dev/not-ready\",\"effect\":"
		"\"NoSchedule\"}]},\"status\":{\"addresses\":[{\"type\":\"InternalIP\",\"address\":"
		"\"192.0.2.7\"}],\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\","
		"\"reason\":\"x\"},{\"type\":\"DiskPressure\",\"status\":\"False\"}],\"images\":[1]"
		"}}",
	[OBJECTS_PODS] =
		"{" META ",\"spec\":{\"nodeName\":\"n1\",\"hostNetwork\":true,\"containers\":[{}]},"
		"\"status\":{\"podIP\":\"10.244.1.5\",\"podIPs\":[{\"ip\":\"10.244.1.5\"},{\"ip\":"
		"\"fd00::5\"}],\"phase\":\"Running\"}}",
	[OBJECTS_SLICES] =
		"{" META ",\"addressType\":\"IPv4\",\"endpoints\":[{\"addresses\":[\"192.0.2.9\"],"
		"\"conditions\":{\"ready\":true}}],\"ports\":[{\"name\":\"a\",\"protocol\":\"TCP\","
		"\"port\":80}]}",
	[OBJECTS_SERVICES] =
		"{" META ",\"spec\":{\"selector\":{\"app\":\"web\"},\"clusterIP\":\"10.96.0.7\","
		"\"clusterIPs\":[\"10.96.0.7\"],\"ports\":[{\"name\":\"a\",\"protocol\":\"TCP\","
		"\"port\":80,\"targetPort\":8080,\"nodePort\":30080}],\"type\":\"NodePort\"}}",
};

static void note(struct object *obj, enum collection c, const struct json *in)
{
	object_note(obj, c, in);
	assert_true(obj->deleting);
	if (c >= OBJECTS_NAMESPACES) {
		assert_ptr_equal(obj->more, &object_no_more);
		return;
	}
	assert_string_equal(object_uid(obj), "u-1");
	assert_int_equal(obj->more->generation, 3);
	assert_true(obj->more->created);
}

static void what_is_left_out_is_of_no_concern(void **state)
{
	for (enum collection c = 0; c < OBJECTS_N; c++) {
		__cleanup_json struct json *all = NULL, *some = NULL, *of_all = NULL,
					   *of_some = NULL;
		struct object *x = object_new("shop", "a"), *y = object_new("shop", "a");
		struct addr x_ips[OBJECT_MAX_IPS], y_ips[OBJECT_MAX_IPS];
		size_t n;
		const char *text = samples[c];

		assert_int_equal(json_parse(text, strlen(text), &all, NULL), 0);
		assert_int_equal(
			json_parse_wanted(text, strlen(text), objects_want(c), &some, NULL), 0);
		of_all = object_reduce(c, all);
		of_some = object_reduce(c, some);
		assert_true(json_equal(of_all, of_some));
		note(x, c, all);
		note(y, c, some);
		assert_ptr_equal(x->more->status, y->more->status);
		n = object_ips(x, x_ips);
		assert_int_equal(n, object_ips(y, y_ips));
		assert_int_equal(n, c == OBJECTS_PODS ? 2 : 0);
		assert_memory_equal(x_ips, y_ips, n * sizeof(*x_ips));
		assert_int_equal(x->host_network, y->host_network);
		assert_int_equal(x->tainted, y->tainted);
		assert_int_equal(x->tainted, c == OBJECTS_NODES);
		assert_null(json_get(json_get(some, "metadata"), "managedFields"));
		object_free(x);
		object_free(y);
	}
}

/* It leads outside at every node, so it must be known. */
static void the_node_port_of_a_service_is_kept(void **state)
{
	const char *text = samples[OBJECTS_SERVICES];
	__cleanup_json struct json *in = NULL, *out = NULL;
	const struct json *ports;

	assert_int_equal(
		json_parse_wanted(text, strlen(text), objects_want(OBJECTS_SERVICES), &in, NULL),
		0);
	out = object_reduce(OBJECTS_SERVICES, in);
	ports = json_get(json_get(out, "spec"), "ports");
	assert_non_null(json_get(json_at(ports, 0), "nodePort"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_node_port_of_a_service_is_kept),
		cmocka_unit_test(what_is_left_out_is_of_no_concern),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
