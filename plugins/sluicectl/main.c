/* SPDX-License-Identifier: Apache-2.0 */
/* sluicectl, also installed as kubectl-sluice: what the operator asks and is told. */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/version.h"
#include "ctl.h"

VERSION_MARKED;

static const struct verb *const verbs[] = {
	&verb_status, &verb_bindings, &verb_explain,	  &verb_counters,
	&verb_names,  &verb_rules,    &verb_check_config, &verb_lint,
	&verb_diff,   &verb_drain,    &verb_undrain,	  &verb_init,
};

#define N_VERBS (sizeof(verbs) / sizeof(*verbs))

static const char *line_two(const char *text)
{
	return strchr(text, '\n') + 1;
}

static void print_help(void)
{
	puts("Usage: sluicectl VERB [OPTION]… [ARGUMENT]…\n"
	     "Shows what Sluice does on this node, and why.\n");
	for (size_t i = 0; i < N_VERBS; i++) {
		const char *what = line_two(verbs[i]->help);

		printf("  %-14s %.*s\n", verbs[i]->name, (int)strcspn(what, "\n"), what);
	}
	printf("\n%s'sluicectl VERB --help' tells more.\n", ctl_options_help);
}

static const struct verb *verb_find(const char *name)
{
	for (size_t i = 0; i < N_VERBS; i++)
		if (strcmp(verbs[i]->name, name) == 0)
			return verbs[i];
	return NULL;
}

static int usage_error(const char *what, const char *name)
{
	fprintf(stderr, "sluicectl: %s%s%s%s\nTry 'sluicectl --help'.\n", what, name ? " '" : "",
		name ? name : "", name ? "'" : "");
	return CTL_USAGE;
}

static int run(struct ctl *ctl)
{
	const struct verb *v = ctl->verb ? verb_find(ctl->verb) : NULL;

	if (ctl->version) {
		puts("sluicectl " SLUICE_VERSION);
		return CTL_OK;
	}
	if (ctl->help && !ctl->verb) {
		print_help();
		return CTL_OK;
	}
	if (!v)
		return usage_error(ctl->verb ? "unknown verb" : "no verb given", ctl->verb);
	if (ctl->help) {
		printf("Usage: sluicectl %s\n%s", v->help, ctl_options_help);
		return CTL_OK;
	}
	if (ctl->n_args < v->min_args)
		return usage_error("an argument is missing for", v->name);
	if (ctl->n_args > v->max_args)
		return usage_error("unexpected argument", ctl->args[v->max_args]);
	return v->run(ctl);
}

int main(int argc, char **argv)
{
	__cleanup(ctl_done) struct ctl ctl = {0};
	struct err e = {0};
	int status;

	log_open(LOG_LEVEL_ERROR, LOG_FORMAT_LOGFMT, NULL, NULL);
	if (ctl_parse(&ctl, argc, argv, &e) < 0)
		return usage_error(e.msg, NULL);
	status = run(&ctl);
	if (fflush(stdout) != 0 || ferror(stdout))
		return CTL_FAILED;
	return status;
}
