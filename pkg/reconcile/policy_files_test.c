/* SPDX-License-Identifier: Apache-2.0 */
/* A folder of policies, read again when one file of it changed. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "reconcile/policies.h"
#include "testkit/netns_fixture.h"
#include "testkit/policy_fixture.h"

#define FILES 20
#ifdef __SANITIZE_ADDRESS__
#define POLICIES 20 /* in each */
#else
#define POLICIES 100
#endif

static char dir[] = "/tmp/policies-XXXXXX", state_dir[] = "/tmp/policies-state-XXXXXX";
static int state_fd;

static void write_file(int i, const char *action)
{
	char path[64], next[72];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%02d.yaml", dir, i);
	snprintf(next, sizeof(next), "%s.new", path);
	f = fopen(next, "w");
	assert_non_null(f);
	for (int j = 0; j < POLICIES; j++) {
		fprintf(f,
			"---\napiVersion: sluice.dev/v1alpha1\nkind: EgressPolicy\nmetadata: "
			"{name: "
			"p%d, namespace: n%d}\nspec:\n  subject: {podSelector: {}}\n  rules:\n",
			j, i);
		for (int k = 0; k < 10; k++)
			fprintf(f, "  - {name: r%d, action: %s, to: [{cidr: 198.51.%d.0/24}]}\n", k,
				action, k);
	}
	assert_int_equal(fclose(f), 0);
	assert_int_equal(rename(next, path), 0);
}

static int setup(void **state)
{
	if (!mkdtemp(dir) || !mkdtemp(state_dir))
		return -1;
	state_fd = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < FILES; i++)
		write_file(i, "Deny");
	return state_fd < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	sh("rm -rf %s %s", dir, state_dir);
	close(state_fd);
	return 0;
}

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void only_the_file_that_changed_is_read_again(void **state)
{
	struct policies p = {0};
	struct doc_set *old = NULL;
	struct err e = {0};
	struct doc_rule *rules[FILES];
	double start = seconds(), first;

	assert_int_equal(policies_refresh(&p, dir, state_fd, NULL, &e), 1);
	first = seconds() - start;
	assert_int_equal(p.set->n_policies, FILES * POLICIES);
	for (int i = 0; i < FILES; i++)
		rules[i] = p.set->policies[i * POLICIES]->rules;
	write_file(7, "Allow");
	start = seconds();
	assert_int_equal(policies_refresh(&p, dir, state_fd, &old, &e), 1);
	print_message("%d policies: %.3f s, one of %d files again: %.3f s\n", FILES * POLICIES,
		      first, FILES, seconds() - start);
	assert_int_equal(p.set->n_policies, FILES * POLICIES);
	for (int i = 0; i < FILES; i++) { /* by whom the rules are held shows who was read */
		bool same = false;

		for (size_t j = 0; j < p.set->n_policies; j++)
			same = same || p.set->policies[j]->rules == rules[i];
		assert_int_equal(same,
				 strcmp(old->policies[i * POLICIES]->meta.namespace, "n7") != 0);
	}
	/* the old one is whole as long as somebody has it */
	assert_int_equal(old->n_policies, FILES * POLICIES);
	for (size_t i = 0; i < old->n_policies; i++)
		assert_int_equal(old->policies[i]->rules[0].action, ACTION_DENY);
	doc_set_free(old);
	for (size_t i = 0; i < p.set->n_policies; i++)
		assert_int_equal(p.set->policies[i]->rules[9].action,
				 strcmp(p.set->policies[i]->meta.namespace, "n7") == 0
					 ? ACTION_ALLOW
					 : ACTION_DENY);
	policies_done(&p);
}

static void a_bad_file_changes_nothing_and_the_next_good_one_does(void **state)
{
	struct policies p = {0};
	struct doc_set *before;
	struct err e = {0};

	assert_int_equal(policies_refresh(&p, dir, state_fd, NULL, &e), 1);
	before = p.set;
	write_file(3, "Perhaps");
	assert_int_equal(policies_refresh(&p, dir, state_fd, NULL, &e), 0);
	assert_true(p.last_good);
	assert_non_null(strstr(p.err.msg, "03.yaml:"));
	assert_ptr_equal(p.set, before);
	write_file(3, "Reject");
	assert_int_equal(policies_refresh(&p, dir, state_fd, NULL, &e), 1);
	assert_false(p.last_good);
	for (size_t i = 0; i < p.set->n_policies; i++)
		if (strcmp(p.set->policies[i]->meta.namespace, "n3") == 0)
			assert_int_equal(p.set->policies[i]->rules[0].action, ACTION_REJECT);
	policies_done(&p);
}

static void document_write(int i, const char *document)
{
	char path[64];
	FILE *f;

	write_file(i, "Deny");
	snprintf(path, sizeof(path), "%s/%02d.yaml", dir, i);
	f = fopen(path, "a");
	assert_non_null(f);
	fputs(document, f);
	assert_int_equal(fclose(f), 0);
}

static void only_the_document_that_changed_is_read_again(void **state)
{
	static const char before[] =
		"---\napiVersion: v1\nkind: Namespace\n\n\nmetadata: {name: x}\n";
	static const char after[] = "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: y}\n";
	struct policies p = {0};
	struct doc_set *old = NULL;
	struct err e = {0};

	document_write(5, before);
	assert_int_equal(policies_refresh(&p, dir, state_fd, NULL, &e), 1);
	document_write(5, after);
	assert_int_equal(policies_refresh(&p, dir, state_fd, &old, &e), 1);
	assert_string_equal(p.set->namespaces[0].meta.name, "y");
	for (size_t i = 0; i < FILES * POLICIES; i++)
		assert_ptr_equal(p.set->policies[i]->rules, old->policies[i]->rules);
	doc_set_free(old);
	policies_done(&p);
	write_file(5, "Deny");
}

/* ---- whatever is edited, a set is what it would be if it had been read for the first time ---- */

#define DOCUMENTS 8
#define EDITS	  300

struct edited {
	char *documents[DOCUMENTS]; /* NULL: it is not there */
};

static unsigned int any(unsigned int n)
{
	return (unsigned int)rand() % n;
}

static char *document_make(unsigned int file)
{
	static const char *const more[] = {"", "", "\n", "# why\n\n", "\r\n", "...\n"};
	const char *empty = any(3) ? "" : "\n";

	if (any(12) == 0)
		return mem_printf("---\n%s# nothing\n", empty);
	if (any(40) == 0)
		return mem_strdup("---\nkind: [\n");
	return mem_printf("---\napiVersion: sluice.dev/v1alpha1\nkind: EgressPolicy\n%smetadata: "
			  "{name: p%u, namespace: n%u}\nspec:\n  subject: {podSelector: {}}\n%s"
			  "  rules: [{action: Deny},\n    {action: %s}]\n%s",
			  empty, any(60), any(9) ? file : 0, any(5) ? "" : "\n\n",
			  any(40) ? "Allow" : "Perhaps", more[any(any(9) ? 4 : 6)]);
}

static void document_edit(struct edited *f, unsigned int file)
{
	unsigned int i = any(DOCUMENTS), k = any(DOCUMENTS);
	char *was = f->documents[i];

	if (any(4) == 0) { /* another place */
		f->documents[i] = f->documents[k];
		f->documents[k] = was;
		return;
	}
	free(was);
	f->documents[i] = any(5) ? document_make(file) : NULL;
}

static void edited_write(const struct edited *f, unsigned int file)
{
	char path[64];
	FILE *out;

	snprintf(path, sizeof(path), "%s/edited-%u.yaml", dir, file);
	out = fopen(path, "w");
	assert_non_null(out);
	for (int i = 0; i < DOCUMENTS; i++)
		fputs(f->documents[i] ?: "", out);
	assert_int_equal(fclose(out), 0);
}

static void src_equal(const struct doc_src *a, const struct doc_src *b)
{
	assert_string_equal(doc_src_file(a), doc_src_file(b));
	assert_int_equal(doc_src_line(a), doc_src_line(b));
}

static void sets_equal(const struct doc_set *a, const struct doc_set *b)
{
	assert_int_equal(a->n_policies, b->n_policies);
	for (size_t i = 0; i < a->n_policies; i++) {
		const struct doc_policy *x = a->policies[i], *y = b->policies[i];

		assert_string_equal(x->meta.namespace, y->meta.namespace);
		assert_string_equal(x->meta.name, y->meta.name);
		src_equal(&x->meta.src, &y->meta.src);
		assert_int_equal(x->n_rules, y->n_rules);
		for (size_t k = 0; k < x->n_rules; k++) {
			assert_int_equal(x->rules[k].action, y->rules[k].action);
			src_equal(&x->rules[k].src, &y->rules[k].src);
		}
	}
}

/* Files as wholes. */
static int plain_read(struct doc_set *set, struct err *e)
{
	__cleanup_folder struct folder f = {0};
	int r = folder_read(dir, &f, e);

	for (size_t i = 0; r == 0 && i < f.n; i++) {
		char *path = mem_printf("%s/%s", dir, f.files[i].name);

		r = doc_set_add_text(set, path, f.files[i].data, f.files[i].len, e);
		free(path);
	}
	return r < 0 ? r : doc_set_finish(set, e);
}

static void any_edit_comes_to_what_reading_all_of_it_does(void **state)
{
	struct edited files[3] = {0};
	struct policies p = {0};
	size_t refused = 0;

	srand(1);
	for (int i = 0; i < FILES; i++) { /* those are of the other tests */
		char *path = mem_printf("%s/%02d.yaml", dir, i);

		assert_int_equal(unlink(path), 0);
		free(path);
	}
	for (int i = 0; i < EDITS; i++) {
		unsigned int file = any(3);
		struct doc_set *plain = doc_set_new();
		struct policies cold = {0};
		struct err e = {0}, plain_e = {0};
		int r;

		document_edit(&files[file], file);
		edited_write(&files[file], file);
		p.fingerprint = 0; /* a file may have its size, and the tick of its clock */
		policies_refresh(&p, dir, state_fd, NULL, &e);
		r = policies_read(&cold, dir, -1, &e);
		assert_int_equal(plain_read(plain, &plain_e), r);
		assert_string_equal(p.err.msg, plain_e.msg);
		assert_string_equal(cold.err.msg, plain_e.msg);
		if (r == 0) {
			sets_equal(p.set, plain);
			sets_equal(cold.set, plain);
		}
		refused += r < 0;
		doc_set_free(plain);
		policies_done(&cold);
	}
	assert_in_range(refused, EDITS / 20, EDITS / 2);
	for (int i = 0; i < 3; i++)
		for (int k = 0; k < DOCUMENTS; k++)
			free(files[i].documents[k]);
	policies_done(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_the_file_that_changed_is_read_again),
		cmocka_unit_test(a_bad_file_changes_nothing_and_the_next_good_one_does),
		cmocka_unit_test(only_the_document_that_changed_is_read_again),
		cmocka_unit_test(any_edit_comes_to_what_reading_all_of_it_does),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
