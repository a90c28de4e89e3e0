/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The definitions of our kinds (conf/crds) beside the parser. While objects that have every field
 * are read, whatever the parser asks of a place (its table of fields, the bound of a list or a
 * number, the words of a choice) is compared with what the schema says of that place; at the end
 * no place of the schema is left that the parser has not asked about. So neither can have a field,
 * a bound or a word that the other has not.
 *
 * The linker puts the __wrap functions between the files of the parser.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <regex.h>
#include <stdio.h>
#include <unistd.h>

#include "base/atomic_file.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "policy/doc_fixture.h"
#include "policy/doc_priv.h"

#define MAX_PLACES 2048
#define LATER	   "Not enforced by this version"

DEFINE_CLEANUP(struct yaml *, yaml_close);
#define __cleanup_yaml __cleanup(yaml_closep)

static const struct {
	enum doc_kind kind;
	const char *plural;
} kinds[] = {
	{DOC_EGRESS_GATEWAY, "egressgateways"},
	{DOC_CLUSTER_EGRESS_POLICY, "clusteregresspolicies"},
	{DOC_EGRESS_POLICY, "egresspolicies"},
	{DOC_CLUSTER_EGRESS_DESTINATION, "clusteregressdestinations"},
	{DOC_EGRESS_DESTINATION, "egressdestinations"},
	{DOC_SLUICE_CONFIG, "sluiceconfigs"},
};

static struct json *crds[COUNT(kinds)];
static const struct json *seen[MAX_PLACES]; /* places of schemas that the parser asked about */
static size_t n_seen;

/* ---- places ---- */

static const struct json *schema_of(enum doc_kind kind)
{
	for (size_t i = 0; i < COUNT(kinds); i++)
		if (kinds[i].kind == kind)
			return json_get(
				json_get(
					json_at(json_get(json_get(crds[i], "spec"), "versions"), 0),
					"schema"),
				"openAPIV3Schema");
	return NULL; /* a kind of Kubernetes */
}

/* What the schema says of a member, "name" or "[3]" of a path; *path moves behind it. */
static const struct json *step(const struct json *schema, const char **path)
{
	char name[256] = "";
	size_t n;

	if (**path == '[' && (*path)[1] != '"') {
		*path += strcspn(*path, "]") + 1;
		return json_get(schema, "items");
	}
	*path += **path == '.';
	n = strcspn(*path, ".[");
	assert_true(n < sizeof(name));
	memcpy(name, *path, n);
	*path += n;
	return json_get(json_get(schema, "properties"), name);
}

/* NULL: not a place of a schema of ours */
static const struct json *place_of(const struct doc_ctx *c, const struct json *j)
{
	const char *path = json_path(j), *p = path;
	const struct json *schema = schema_of(c->kind);

	if (!schema || strncmp(path, "metadata", 8) == 0)
		return NULL;
	if (strcmp(path, "document") == 0)
		return schema;
	while (*p && schema)
		schema = step(schema, &p);
	if (!schema)
		fail_msg("%s: in the parser, not in the schema", path);
	return schema;
}

static void see(const struct json *place)
{
	assert_true(n_seen < MAX_PLACES);
	seen[n_seen++] = place;
}

static bool was_seen(const struct json *place)
{
	for (size_t i = 0; i < n_seen; i++)
		if (seen[i] == place)
			return true;
	return false;
}

static const char *text_of(const struct json *j)
{
	struct err e = {0};
	const char *s = "";

	return j && json_string(j, &s, &e) == 0 ? s : "";
}

static int64_t number_of(const struct json *schema, const char *name)
{
	struct err e = {0};
	int64_t v = -1;

	return json_get(schema, name) &&
			       json_int(json_get(schema, name), INT64_MIN, INT64_MAX, &v, &e) == 0
		       ? v
		       : -1;
}

static bool is_later(const struct json *schema)
{
	return strstr(text_of(json_get(schema, "description")), LATER) != NULL;
}

static bool has_word(const struct json *list, const char *word)
{
	for (size_t i = 0; i < json_len(list); i++)
		if (strcmp(text_of(json_at(list, i)), word) == 0)
			return true;
	return false;
}

/* ---- what the parser asks ---- */

static void compare_field(const struct json *schema, const struct field *f, const char *path)
{
	const struct json *member = json_get(json_get(schema, "properties"), f->name);

	if (!member)
		fail_msg("%s.%s: in the parser, not in the schema", path, f->name);
	if (f->use == FIELD_IGNORED || strcmp(f->name, "metadata") == 0)
		return;
	if (!json_get(member, "description"))
		fail_msg("%s.%s: no description", path, f->name);
	if (is_later(member) != (f->use == FIELD_LATER))
		fail_msg("%s.%s: the description has to say '" LATER "' when it is so", path,
			 f->name);
	if (has_word(json_get(schema, "required"), f->name) != (f->use == FIELD_REQUIRED))
		fail_msg("%s.%s: required by one of parser and schema only", path, f->name);
}

static void compare_fields(const struct json *schema, const struct field *fields, const char *path)
{
	const struct json *members = json_get(schema, "properties");

	see(schema);
	for (const struct field *f = fields; f->name; f++) {
		compare_field(schema, f, path);
		if (f->sub)
			compare_fields(json_get(members, f->name), f->sub, f->name);
	}
	for (size_t i = 0; i < json_len(members); i++) {
		const struct field *f = fields;

		while (f->name && strcmp(f->name, json_key_at(members, i)) != 0)
			f++;
		if (!f->name)
			fail_msg("%s.%s: in the schema, not in the parser", path,
				 json_key_at(members, i));
	}
}

int __real_doc_fields(const struct doc_ctx *c, const struct json *j, const struct field *fields,
		      void *out);
int __wrap_doc_fields(const struct doc_ctx *c, const struct json *j, const struct field *fields,
		      void *out);
int __wrap_doc_fields(const struct doc_ctx *c, const struct json *j, const struct field *fields,
		      void *out)
{
	const struct json *place = place_of(c, j);

	/* the root's metadata and required lists are Kubernetes' own */
	if (place && strcmp(json_path(j), "document") != 0) {
		compare_fields(place, fields, json_path(j));
	} else if (place) {
		for (const struct field *f = fields; f->name; f++)
			if (f->sub)
				compare_fields(json_get(json_get(place, "properties"), f->name),
					       f->sub, f->name);
	}
	return __real_doc_fields(c, j, fields, out);
}

int __real_doc_list(const struct doc_ctx *c, const struct json *j, size_t max, parse_fn *item,
		    void *out);
int __wrap_doc_list(const struct doc_ctx *c, const struct json *j, size_t max, parse_fn *item,
		    void *out);
int __wrap_doc_list(const struct doc_ctx *c, const struct json *j, size_t max, parse_fn *item,
		    void *out)
{
	const struct json *place = place_of(c, j);

	if (place) {
		see(place);
		if (number_of(place, "minItems") != 1 ||
		    number_of(place, "maxItems") != (int64_t)max)
			fail_msg("%s: the parser takes 1 to %zu items, the schema %d to %d",
				 json_path(j), max, (int)number_of(place, "minItems"),
				 (int)number_of(place, "maxItems"));
	}
	return __real_doc_list(c, j, max, item, out);
}

int __real_doc_int(const struct doc_ctx *c, const struct json *j, int64_t max, int64_t *ret);
int __wrap_doc_int(const struct doc_ctx *c, const struct json *j, int64_t max, int64_t *ret);
int __wrap_doc_int(const struct doc_ctx *c, const struct json *j, int64_t max, int64_t *ret)
{
	const struct json *place = place_of(c, j);

	if (place) {
		see(place);
		if (number_of(place, "minimum") < 0 || number_of(place, "maximum") != max)
			fail_msg("%s: the parser takes up to %lld, the schema up to %lld",
				 json_path(j), (long long)max,
				 (long long)number_of(place, "maximum"));
	}
	return __real_doc_int(c, j, max, ret);
}

int __real_doc_choice(const struct doc_ctx *c, const struct json *j, const struct choice *choices,
		      int *ret);
int __wrap_doc_choice(const struct doc_ctx *c, const struct json *j, const struct choice *choices,
		      int *ret);
int __wrap_doc_choice(const struct doc_ctx *c, const struct json *j, const struct choice *choices,
		      int *ret)
{
	const struct json *place = place_of(c, j), *words = json_get(place, "enum");
	bool later = false;
	size_t n = 0;

	for (const struct choice *w = choices; place && w->name; w++, n++) {
		if (!has_word(words, w->name))
			fail_msg("%s: '%s' is not in the schema", json_path(j), w->name);
		later |= w->value == CHOICE_LATER;
	}
	if (place) {
		see(place);
		if (json_len(words) != n)
			fail_msg("%s: the schema has words that the parser has not", json_path(j));
		if (later != (strstr(text_of(json_get(place, "description")),
				     "not yet accepted by this version") != NULL))
			fail_msg("%s: the description has to say which words come later",
				 json_path(j));
	}
	return __real_doc_choice(c, j, choices, ret);
}

/* ---- every field ---- */

#define SELECTOR                                                               \
	"{matchLabels: {a.b/c: d}, matchExpressions: [{key: e, operator: In, " \
	"values: ['', f_g.h]}]}"
#define PORTS                                                                           \
	"[{protocol: TCP, port: 65535, endPort: 65535}, {protocol: ICMPv6, type: 255, " \
	"code: 255}]"
#define RULES(destination)                                                                       \
	"rules: [{name: A-b_c.9, action: Reject, log: true, ports: " PORTS ", to: [\n"           \
	"{cidr: 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:0/112', except: ["                           \
	"'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128']}, {cidr: 0.0.0.0/0}, {fqdn: "            \
	"'*.A-b_c.d.'},\n"                                                                       \
	"{fqdn: localhost}, {destination: {kind: " destination                                   \
	", name: a.b-c}}, {destinationSelector: " SELECTOR "},\n"                                \
	"{nodes: " SELECTOR "}], via: {gateway: a.b-c, addresses: ["                             \
	"'ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255', 192.0.2.1], unavailable: Node},\n"     \
	"schedule: {timeZone: Etc/UTC, startAt: 1970-01-01T00:00:00z, endAt: "                   \
	"2026-12-24T18:00:00-23:59,\nwindows: [{days: [Mon, Sun], from: '23:59', to: '24:00'}, " \
	"{from: '00:00', to: '00:01'}]}}, {via: {node: {}}}]"

static const char *const objects[] = {
	POLICY "{subject: {podSelector: " SELECTOR "}, priority: 1000, mode: Audit,\n"
	       "existingConnections: Reset, default: {action: Pass, via: {gateway: g, addresses: "
	       "[192.0.2.1], unavailable: Drop}},\n" RULES("ClusterEgressDestination") "}}",
	POLICY "{subject: {services: [a-b]}, rules: [{action: Allow, to: [{destination: {name: "
	       "x}}]}], default: {via: {node: {}}}}}",
	CLUSTER "{tier: Baseline, priority: 0, mode: Enforce, existingConnections: Keep,\n"
		"subject: {podSelector: " SELECTOR ", namespaceSelector: " SELECTOR
		", nodeSelector: " SELECTOR "}, "
		"\n" RULES("ClusterEgressDestination") "}}",
	GATEWAY "{addresses: [{range: '::ffff:1-::ffff:2', nodeSelector: " SELECTOR
		", preferredNodes: " SELECTOR "}, {range: "
		"10.0.0.0/24},\n{range: 192.0.2.1}], nodeCapacity: 1000, nodeSelector: " SELECTOR
		", allowedNamespaces: " SELECTOR ", "
		"interface: a-b.0_9@~!;,\nannounce: None, transport: Auto, spread: Pod, "
		"encryption: None, tunnel: {mtu: 65535, endpoint: EgressAddress},\n"
		"failover: {interval: 10ms, missed: 20, holdDown: 1h1m1s1ms, replicate: true},\n"
		"limits: {connectionsPerPod: 2147483647, portsPerPod: 1}}}",
	GATEWAY "{addressFrom: {interface: fifteen-letters}}}",
	DESTINATION "{cidrs: ['::/0', 255.255.255.255/32], fqdns: ['*.a.b', x_y], ports: " PORTS
		    "}}",
	"{apiVersion: sluice.dev/v1alpha1, kind: ClusterEgressDestination, metadata: {name: x},\n"
	"spec: {cidrs: ['::/0'], fqdns: [x], ports: " PORTS "}}",
	CONFIG "{clusterCIDRs: [10.0.0.0/8], nodeCIDRs: [192.0.2.0/24], dns: {resolvers: ['::1'], "
	       "minTTL: 24h, grace: "
	       "000001s}, audit: true,\nmarkMask: 0xffe00000, tunnelPort: 65535}}",
	CONFIG "{markMask: '0xFFE00000'}}",
};

/* Whether the text is what the schema's pattern and lengths want. */
static void check_text(const struct json *schema, const struct json *j)
{
	const char *pattern = text_of(json_get(schema, "pattern")), *s = text_of(j);
	int64_t least = number_of(schema, "minLength"), most = number_of(schema, "maxLength");
	regex_t re;

	if ((int64_t)strlen(s) < least || (int64_t)strlen(s) > most)
		fail_msg("%s: the schema wants a length from %d to %d", json_path(j), (int)least,
			 (int)most);
	if (!*pattern)
		return;
	assert_int_equal(regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB), 0);
	if (regexec(&re, s, 0, NULL, 0) != 0)
		fail_msg("%s: %s is not %s", json_path(j), json_show(j), pattern);
	regfree(&re);
}

static void check_texts(const struct json *schema, const struct json *j)
{
	if (json_type(j) == JSON_STRING)
		check_text(schema, j);
	for (size_t i = 0; json_type(j) == JSON_ARRAY && i < json_len(j); i++)
		check_texts(json_get(schema, "items"), json_at(j, i));
	for (size_t i = 0; json_type(j) == JSON_OBJECT && i < json_len(j); i++) {
		const struct json *member = json_get(json_get(schema, "properties"),
						     json_key_at(j, i));

		check_texts(member ? member : json_get(schema, "additionalProperties"),
			    json_value_at(j, i));
	}
}

static enum doc_kind kind_of(const struct doc_set *set)
{
	return set->n_policies	 ? set->policies[0]->meta.kind
	       : set->n_gateways ? set->gateways->meta.kind
	       : set->n_configs	 ? set->configs->meta.kind
				 : set->destinations->meta.kind;
}

static void the_parser_and_the_schema_say_the_same(void **state)
{
	for (size_t i = 0; i < COUNT(objects); i++) {
		__cleanup_doc_set struct doc_set *set = read_set("a.yaml", objects[i]);
		__cleanup_yaml struct yaml *y = NULL;
		__cleanup_json struct json *j = NULL;
		const struct json *schema = schema_of(kind_of(set));
		struct err e = {0};

		assert_int_equal(yaml_open(objects[i], strlen(objects[i]), &y, &e), 0);
		assert_int_equal(yaml_next(y, &j, &e), 0);
		check_texts(json_get(json_get(schema, "properties"), "spec"), json_get(j, "spec"));
	}
}

/* ---- what nobody has asked about ---- */

static void check_seen(const char *path, const struct json *schema)
{
	const struct json *members = json_get(schema, "properties");
	const char *type = text_of(json_get(schema, "type"));

	if (is_later(schema))
		return;
	if ((members || strcmp(type, "array") == 0 || strcmp(type, "integer") == 0 ||
	     json_get(schema, "enum")) &&
	    !was_seen(schema))
		fail_msg("%s: in the schema, and the parser has not asked about it", path);
	if (json_get(schema, "items"))
		check_seen(path, json_get(schema, "items"));
	for (size_t i = 0; i < json_len(members); i++) {
		__cleanup_free char *name = mem_printf("%s.%s", path, json_key_at(members, i));

		check_seen(name, json_value_at(members, i));
	}
}

static void nothing_of_the_schema_is_unknown_to_the_parser(void **state)
{
	for (size_t i = 0; i < COUNT(kinds); i++) {
		__cleanup_free char *path = mem_printf("%s.spec", kinds[i].plural);

		check_seen(path,
			   json_get(json_get(schema_of(kinds[i].kind), "properties"), "spec"));
	}
}

/* ---- every place says what it is, and has its bound ---- */

static void check_bounds(const char *path, const struct json *schema)
{
	const struct json *members = json_get(schema, "properties");
	const char *type = text_of(json_get(schema, "type"));

	if (!*text_of(json_get(schema, "description")))
		fail_msg("%s: no description", path);
	if (strcmp(type, "array") == 0 && (number_of(schema, "maxItems") < 1 ||
					   !*text_of(json_get(schema, "x-kubernetes-list-type"))))
		fail_msg("%s: a list without maxItems or a list type", path);
	if (strcmp(type, "string") == 0 && number_of(schema, "maxLength") < 1)
		fail_msg("%s: a string without maxLength", path);
	if (json_get(schema, "items"))
		check_bounds(path, json_get(schema, "items"));
	if (json_get(schema, "additionalProperties"))
		check_bounds(path, json_get(schema, "additionalProperties"));
	for (size_t i = 0; i < json_len(members); i++) {
		__cleanup_free char *name = mem_printf("%s.%s", path, json_key_at(members, i));

		check_bounds(name, json_value_at(members, i));
	}
}

static void every_place_is_described_and_bounded(void **state)
{
	for (size_t i = 0; i < COUNT(kinds); i++) {
		const struct json *members = json_get(schema_of(kinds[i].kind), "properties");

		check_bounds("spec", json_get(members, "spec"));
		check_bounds("status", json_get(members, "status"));
	}
}

/* ---- the definitions, beside the sources ---- */

static int load(void **state)
{
	char exe[PATH_MAX] = "";

	if (readlink("/proc/self/exe", exe, sizeof(exe) - 1) < 0 || !strstr(exe, "/build/"))
		return -1;
	*strstr(exe, "/build/") = '\0';
	for (size_t i = 0; i < COUNT(kinds); i++) {
		__cleanup_free char *path = mem_printf("%s/conf/crds/sluice.dev_%s.yaml", exe,
						       kinds[i].plural);
		__cleanup_free char *text = NULL;
		__cleanup_yaml struct yaml *y = NULL;
		struct err e = {0};
		size_t len = 0;

		if (atomic_file_load(AT_FDCWD, path, 1 << 20, &text, &len, &e) < 0 ||
		    yaml_open(text, len, &y, &e) < 0 || yaml_next(y, &crds[i], &e) < 0) {
			print_error("%s: %s\n", path, e.msg);
			return -1;
		}
	}
	return 0;
}

static int unload(void **state)
{
	for (size_t i = 0; i < COUNT(kinds); i++)
		json_free(crds[i]);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_parser_and_the_schema_say_the_same),
		cmocka_unit_test(nothing_of_the_schema_is_unknown_to_the_parser),
		cmocka_unit_test(every_place_is_described_and_bounded),
	};

	return cmocka_run_group_tests(tests, load, unload);
}
