/* SPDX-License-Identifier: Apache-2.0 */
/* A compile that begins with the one before comes to what a compile from nothing comes to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/compiled.h"
#include "testkit/policy_fixture.h"

#define FILES  6
#define LONE   4 /* files of one policy, which stays in its place */
#define PARTS  (FILES + 3 + LONE)
#define ROUNDS 600

static const char surroundings[] =
	"---\napiVersion: sluice.dev/v1alpha1\nkind: SluiceConfig\nmetadata: {name: default}\n"
	"spec: {clusterCIDRs: [10.244.0.0/16]}\n"
	"---\napiVersion: sluice.dev/v1alpha1\nkind: EgressGateway\nmetadata: {name: g0}\n"
	"spec: {addresses: [{range: 192.0.2.50-192.0.2.53}], allowedNamespaces: {}}\n"
	"---\napiVersion: sluice.dev/v1alpha1\nkind: EgressGateway\nmetadata: {name: g1}\n"
	"spec: {addresses: [{range: 192.0.2.60-192.0.2.61}], allowedNamespaces: {}, spread: Pod}\n"
	"---\napiVersion: sluice.dev/v1alpha1\nkind: EgressDestination\n"
	"metadata: {name: d0, namespace: a, labels: {set: x}}\n"
	"spec: {cidrs: [203.0.113.0/25], fqdns: [d0.example.com]}\n";

static const char more[] = "---\napiVersion: sluice.dev/v1alpha1\nkind: EgressDestination\n"
			   "metadata: {name: d1, namespace: a, labels: {set: x}}\n"
			   "spec: {cidrs: [198.51.100.0/24], ports: [{protocol: TCP, port: 443}]}\n"
			   "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n";

static const char service[] = "---\napiVersion: v1\nkind: Service\n"
			      "metadata: {name: s, namespace: a}\n"
			      "spec: {selector: {app: a1}}\n"
			      "---\napiVersion: v1\nkind: Pod\n"
			      "metadata: {name: p, namespace: a, labels: {app: a1}}\n";

static unsigned int any(unsigned int n)
{
	return (unsigned int)rand() % n;
}

static void write_rule(FILE *s)
{
	static const char *const tos[] = {
		"cidr: 203.0.113.0/24",
		"destination: {name: d0}",
		"destination: {name: d1}",
		"destinationSelector: {matchLabels: {set: x}}",
		"fqdn: a.example.com",
		"fqdn: '*.example.org'",
		"nodes: {}",
	};

	fprintf(s, "  - {action: %s", any(2) ? "Allow" : "Deny");
	if (any(2))
		fprintf(s, ", to: [{%s}, {%s}]", tos[any(7)], tos[any(7)]);
	if (any(4) == 0)
		fprintf(s, ", via: {gateway: g%u%s}", any(3),
			any(9) ? "" : ", addresses: [192.0.2.50]"); /* that g1 does not have */
	if (any(30) == 0)
		fputs(", schedule: {windows: [{from: '08:00', to: '09:00'}]}", s);
	fputs("}\n", s);
}

static void write_subject(FILE *s)
{
	if (any(30) == 0)
		fputs("{services: [s]}\n", s);
	else
		fprintf(s, "{podSelector: {matchLabels: {app: a%u}}}\n", any(30) == 0);
}

/* Policies f0, f1, … of one file; each of them may be there or not. */
static char *write_file(int file)
{
	char *text;
	size_t len;
	FILE *s = open_memstream(&text, &len);

	for (unsigned int i = 0; i < 4; i++) {
		if (any(30) == 0)
			continue;
		fprintf(s,
			"---\napiVersion: sluice.dev/v1alpha1\nkind: EgressPolicy\n"
			"metadata: {name: f%d-%u, namespace: %s}\nspec:\n  priority: %u\n"
			"  mode: %s\n"
			"  subject: ",
			file, i, i % 2 ? "a" : "b", 500 + (any(30) == 0),
			any(30) ? "Enforce" : "Audit");
		write_subject(s);
		fputs("  rules:\n", s);
		for (unsigned int k = any(3) + 1; k > 0; k--)
			write_rule(s);
	}
	fclose(s);
	return text;
}

static char *write_lone(int file)
{
	char *text;
	size_t len;
	FILE *s = open_memstream(&text, &len);

	fprintf(s,
		"---\napiVersion: sluice.dev/v1alpha1\nkind: EgressPolicy\n"
		"metadata: {name: l%d, namespace: a}\nspec:\n"
		"  subject: {podSelector: {matchLabels: {app: l%u}}}\n"
		"  default: {action: Allow, via: {gateway: g0, addresses: [192.0.2.%u]}}\n  "
		"rules:\n",
		file, any(8) == 0, 50 + any(4));
	for (unsigned int k = any(3) + 1; k > 0; k--)
		write_rule(s);
	fclose(s);
	return text;
}

/* Of as many parts as the text has documents. */
static struct doc_set *part_of(const char *file, const char *text)
{
	__cleanup_free struct doc_piece *pieces = NULL;
	size_t n = doc_text_pieces(file, text, strlen(text), &pieces);
	struct doc_set *whole = doc_set_new();
	struct err e = {0};

	for (size_t i = 0; i < n; i++) {
		struct doc_set *part = doc_set_new();

		if (doc_set_add_text(part, file, pieces[i].text, pieces[i].len, &e) < 0)
			fail_msg("%s", e.msg);
		doc_set_move(part, pieces[i].before);
		doc_set_add_part(whole, part);
		doc_set_free(part);
	}
	return whole;
}

static struct doc_set *whole_of(struct doc_set *const *parts, size_t n)
{
	struct doc_set *set = doc_set_new();

	for (size_t i = 0; i < n; i++)
		if (parts[i])
			doc_set_add_part(set, parts[i]);
	return set;
}

static void list_equal(const void *a, size_t n_a, const void *b, size_t n_b)
{
	assert_int_equal(n_a, n_b);
	if (n_a)
		assert_memory_equal(a, b, n_a);
}
#define LISTS_EQUAL(a, b, list)                                              \
	list_equal((a)->list, (a)->n_##list * sizeof(*(a)->list), (b)->list, \
		   (b)->n_##list * sizeof(*(b)->list))

/* NULL when it is refused, for the same reason both ways. */
static struct doc_set *finish_both(struct doc_set *const *parts, size_t n,
				   const struct doc_set *before)
{
	struct doc_set *after = whole_of(parts, n), *plain = whole_of(parts, n);
	struct err e_after = {0}, e_plain = {0};
	int r = doc_set_finish_after(after, before, &e_after);

	assert_int_equal(doc_set_finish(plain, &e_plain), r);
	assert_string_equal(e_after.msg, e_plain.msg);
	if (r == 0) {
		LISTS_EQUAL(after, plain, policies);
		LISTS_EQUAL(after, plain, gateways);
		LISTS_EQUAL(after, plain, destinations);
		LISTS_EQUAL(after, plain, pods);
	} else {
		doc_set_free(after);
		after = NULL;
	}
	doc_set_free(plain);
	return after;
}

static void rules_equal(const struct compiled_policy *a, const struct compiled_policy *b)
{
	assert_ptr_equal(a->doc, b->doc);
	assert_int_equal(a->digest, b->digest);
	assert_int_equal(a->n_rules, b->n_rules);
	for (size_t i = 0; i < a->n_rules; i++) {
		const struct flat_rule *x = &a->rules[i], *y = &b->rules[i];

		assert_ptr_equal(x->policy, y->policy);
		assert_ptr_equal(x->rule, y->rule);
		assert_int_equal(x->step, y->step);
		assert_int_equal(x->identity, y->identity);
		assert_int_equal(x->to_all, y->to_all);
		assert_int_equal(x->items, y->items);
		LISTS_EQUAL(x, y, nodes);
		LISTS_EQUAL(x, y, ports);
		LISTS_EQUAL(x, y, sets);
		LISTS_EQUAL(x, y, cidrs);
		LISTS_EQUAL(x, y, names);
	}
}

static void compiled_equal(const struct compiled *a, const struct compiled *b)
{
	assert_int_equal(a->n_policies, b->n_policies);
	for (size_t i = 0; i < a->n_policies; i++)
		rules_equal(&a->policies[i], &b->policies[i]);
	assert_int_equal(a->n_names, b->n_names);
	for (size_t i = 0; i < a->n_names; i++)
		assert_string_equal(a->names[i], b->names[i]);
	list_equal(a->name_uses, a->n_names, b->name_uses, b->n_names);
	assert_int_equal(a->n_identities, b->n_identities);
	for (uint32_t i = 0; i < a->n_identities; i++)
		assert_int_equal(identity_digest(a, i), identity_digest(b, i));
	list_equal(a->users, a->n_identities * sizeof(*a->users), b->users,
		   b->n_identities * sizeof(*b->users));
	assert_int_equal(a->n_addrs, b->n_addrs);
	assert_int_equal(a->next_edge, b->next_edge);
	assert_int_equal(a->digest, b->digest);
	list_equal(a->subjects, a->subjects_len, b->subjects, b->subjects_len);
}

static size_t count_kept(const struct compiled *c)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n_policies; i++)
		n += c->policies[i].kept;
	return c->edited ? c->n_policies - c->n_edited : n;
}

struct world {
	struct policy_fixture f;
	struct doc_set *parts[PARTS], *set;
	struct compiled *c;
	size_t kept, subjects_kept, edits, refused;
};

static void replace(struct world *w, size_t part, struct doc_set *by)
{
	doc_set_free(w->parts[part]);
	w->parts[part] = by;
}

static void edit_lone(struct world *w)
{
	int file = (int)any(LONE);
	char *text = write_lone(file), name[16];

	snprintf(name, sizeof(name), "l%d.yaml", file);
	replace(w, (size_t)(FILES + 3 + file), part_of(name, text));
	free(text);
	w->f.node.now += 60;
}

static void edit(struct world *w)
{
	size_t file = any(FILES);
	char *text = write_file(any(20) ? (int)file : 0); /* maybe another one's: given twice */
	char name[16];

	snprintf(name, sizeof(name), "f%zu.yaml", file);
	replace(w, file, part_of(name, text));
	free(text);
	if (any(20) == 0)
		replace(w, FILES, part_of("s.yaml", surroundings));
	if (any(20) == 0)
		replace(w, FILES + 1, w->parts[FILES + 1] ? NULL : part_of("m.yaml", more));
	if (any(20) == 0)
		replace(w, FILES + 2, w->parts[FILES + 2] ? NULL : part_of("v.yaml", service));
	w->f.node.now += any(4) ? 60 : 7200;
}

static void compile_both(struct world *w)
{
	struct doc_set *set = finish_both(w->parts, PARTS, w->set);
	const uint8_t *subjects = w->c ? w->c->subjects : NULL;
	struct compiled *again = NULL, *fresh = NULL;
	struct err e = {0};

	if (!set) {
		w->refused++;
		return;
	}
	if (policy_compile(set, &w->f.node, &fresh, &e) < 0 ||
	    policy_compile_again(set, &w->f.node, w->c, &again, &e) < 0)
		fail_msg("%s", e.msg);
	w->subjects_kept += again->subjects == subjects;
	w->edits += again->edited != NULL;
	compiled_free(w->c); /* and all that it was made of: nothing of it may be needed */
	doc_set_free(w->set);
	compiled_equal(again, fresh);
	compiled_free(fresh);
	w->kept += count_kept(again);
	w->c = again;
	w->set = set;
}

static void random_edits_come_to_what_a_compile_from_nothing_does(void **state)
{
	struct world w = {0};

	srand(1);
	policy_fixture_node(&w.f, "n1", "eth0 192.0.2.1/24");
	w.f.node.now = 1700000000;
	w.parts[FILES] = part_of("s.yaml", surroundings);
	for (int i = 0; i < ROUNDS; i++) {
		if (i % 2)
			edit_lone(&w);
		else
			edit(&w);
		compile_both(&w);
	}
	/* else all of this were for nothing */
	assert_in_range(w.kept, ROUNDS, SIZE_MAX);
	assert_in_range(w.subjects_kept, 10, SIZE_MAX);
	assert_in_range(w.edits, ROUNDS / 10, ROUNDS);
	assert_in_range(w.refused, 10, ROUNDS / 2);
	print_message(
		"%zu policies and %zu times the subjects taken in %d edits, %zu of them of a few "
		"policies\n",
		w.kept, w.subjects_kept, ROUNDS, w.edits);
	compiled_free(w.c);
	doc_set_free(w.set);
	for (size_t i = 0; i < PARTS; i++)
		doc_set_free(w.parts[i]);
	policy_fixture_done(&w.f);
}

static struct doc_set *one_with_address(int file, unsigned int last)
{
	char text[512], name[16];

	snprintf(text, sizeof(text),
		 "---\napiVersion: sluice.dev/v1alpha1\nkind: EgressPolicy\n"
		 "metadata: {name: p%d, namespace: a}\nspec:\n"
		 "  subject: {podSelector: {matchLabels: {app: p%d}}}\n"
		 "  rules: [{action: Deny, to: [{cidr: 203.0.113.0/24}]}, {action: Allow,\n"
		 "           via: {gateway: g0, addresses: [192.0.2.%u]}}]\n",
		 file, file, last);
	snprintf(name, sizeof(name), "p%d.yaml", file);
	return part_of(name, text);
}

/* It shifts the numbers of all identities behind it, or leaves one that nobody has. */
static void an_address_that_nobody_had_costs_no_more_than_its_policy(void **state)
{
	static const unsigned int first[] = {53, 50, 53, 52, 51};
	struct world w = {0};

	policy_fixture_node(&w.f, "n1", "eth0 192.0.2.1/24");
	w.parts[FILES] = part_of("s.yaml", surroundings);
	for (int i = 0; i < 3; i++)
		replace(&w, (size_t)i, one_with_address(i, 50 + (unsigned int)i));
	compile_both(&w);
	for (size_t i = 0; i < sizeof(first) / sizeof(*first); i++) {
		replace(&w, 0, one_with_address(0, first[i]));
		compile_both(&w);
		assert_int_equal(w.edits, i + 1);
		assert_int_equal(w.c->n_edited, 1);
	}
	compiled_free(w.c);
	doc_set_free(w.set);
	for (size_t i = 0; i < PARTS; i++)
		doc_set_free(w.parts[i]);
	policy_fixture_done(&w.f);
}

static struct doc_set *one_with_name(int file, const char *app, const char *name)
{
	char text[512], path[16];

	snprintf(text, sizeof(text),
		 "---\napiVersion: sluice.dev/v1alpha1\nkind: EgressPolicy\n"
		 "metadata: {name: p%d, namespace: a}\nspec:\n"
		 "  subject: {podSelector: {matchLabels: {app: %s}}}\n"
		 "  rules: [{action: Allow, to: [{fqdn: %s}]}]\n",
		 file, app, name);
	snprintf(path, sizeof(path), "p%d.yaml", file);
	return part_of(path, text);
}

/* The first of two policies is another one. What only it had, nobody has any more. */
static void names_go_and_subjects_change_with_the_policy_that_had_them(void **state)
{
	static const char *const first[][2] = {
		{"x", "a.example.com"}, {"x", "b.example.com"}, {"y", "c.example.com"}};
	struct world w = {0};

	policy_fixture_node(&w.f, "n1", "eth0 192.0.2.1/24");
	replace(&w, 1, one_with_name(1, "z", "b.example.com"));
	for (size_t i = 0; i < sizeof(first) / sizeof(*first); i++) {
		replace(&w, 0, one_with_name(0, first[i][0], first[i][1]));
		compile_both(&w);
	}
	compiled_free(w.c);
	doc_set_free(w.set);
	for (size_t i = 0; i < PARTS; i++)
		doc_set_free(w.parts[i]);
	policy_fixture_done(&w.f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_edits_come_to_what_a_compile_from_nothing_does),
		cmocka_unit_test(an_address_that_nobody_had_costs_no_more_than_its_policy),
		cmocka_unit_test(names_go_and_subjects_change_with_the_policy_that_had_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
