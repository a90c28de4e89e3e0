/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/pod_subject.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define PODS                                                                      \
	"{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"web\"," \
	"\"namespace\":\"shop\",\"labels\":{\"app\":\"object\",\"tier\":\"front\"}}}"

/* An image with one Pod object; fingerprint 0 = from an API. */
static void image_make(uint64_t fingerprint, struct image *img, uint8_t **ret_data)
{
	struct cidr inside = {0};
	const struct node_view node = {
		.name = "n1", .cluster_cidrs = &inside, .n_cluster_cidrs = 1};
	const struct image_info info = {.generation = 1, .fingerprint = fingerprint};
	struct doc_set *set = doc_set_new();
	struct compiled *c = NULL;
	struct err e = {0};
	size_t len;

	assert_int_equal(cidr_parse("10.0.0.0/8", &inside), 0);
	assert_int_equal(doc_set_add_text(set, "pods.json", PODS, strlen(PODS), &e), 0);
	assert_int_equal(doc_set_finish(set, &e), 0);
	assert_int_equal(policy_compile(set, &node, &c, &e), 0);
	assert_int_equal(image_build(c, &info, NULL, 0, ret_data, &len), 0);
	assert_int_equal(image_open(img, *ret_data, len, &e), 0);
	compiled_free(c);
	doc_set_free(set);
}

/* "known key=value …" of a pod's subject. */
static char *subject_of(uint64_t fingerprint, struct record *rec)
{
	__cleanup_free uint8_t *data = NULL;
	struct pod_info info;
	struct image img;
	char *out;

	image_make(fingerprint, &img, &data);
	pod_subject(&img, rec, &info);
	out = mem_printf("%s/%s %s", info.namespace, info.name, info.labels_known ? "known" : "-");
	for (size_t i = 0; i < info.labels.n; i++) {
		char *more = mem_printf("%s %s=%s", out, info.labels.items[i].key,
					info.labels.items[i].value);

		free(out);
		out = more;
	}
	pod_subject_done(&info);
	return out;
}

#define IMPLIED(pod) "sluice.dev/ifname=eth0 sluice.dev/network=lab" pod

static void labels_come_by_the_rules_of_their_source(void **state)
{
	static const struct {
		uint64_t fingerprint;
		const char *namespace, *pod, *labels;
		const char *subject;
	} rows[] = {
		/* a folder: what came wins, the object fills in, and that is all there is */
		{1, "shop", "web", "{\"app\":\"given\"}",
		 "shop/web known app=given " IMPLIED(" sluice.dev/pod=web") " tier=front"},
		{1, "shop", "web", NULL,
		 "shop/web known app=object " IMPLIED(" sluice.dev/pod=web") " tier=front"},
		{1, "shop", "other", NULL, "shop/other known " IMPLIED(" sluice.dev/pod=other")},
		{1, NULL, NULL, NULL, "default/ known " IMPLIED("")},
		/* an API: the object is the truth; without it others may exist */
		{0, "shop", "web", "{\"app\":\"given\",\"x\":\"y\"}",
		 "shop/web known app=object " IMPLIED(" sluice.dev/pod=web") " tier=front"},
		{0, "shop", "other", "{\"app\":\"given\"}",
		 "shop/other - app=given " IMPLIED(" sluice.dev/pod=other")},
		/* nobody gives himself an implied label */
		{1, "shop", "", "{\"sluice.dev/pod\":\"web\",\"sluice.dev/network\":\"x\"}",
		 "shop/ known " IMPLIED("")},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct record *rec = mem_alloc0(sizeof(*rec));
		__cleanup_free char *subject = NULL;

		rec->namespace = mem_strdup(rows[i].namespace);
		rec->pod = mem_strdup(rows[i].pod);
		rec->labels = mem_strdup(rows[i].labels);
		rec->network = mem_strdup("lab");
		rec->ifname = mem_strdup("eth0");
		subject = subject_of(rows[i].fingerprint, rec);
		record_free(rec);
		if (strcmp(subject, rows[i].subject))
			fail_msg("row %zu: %s", i, subject);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(labels_come_by_the_rules_of_their_source),
	};

	return cmocka_run_group_tests_name("reconcile/pod_subject", tests, NULL, NULL);
}
