/* SPDX-License-Identifier: Apache-2.0 */
/* From a command line to a verb: the same for sluicectl and kubectl-sluice. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "ctl.h"

static const char *line_two(const char *text)
{
	return strchr(text, '\n') + 1;
}

static void print_help(const struct tool *p)
{
	printf("Usage: %s VERB [OPTION]… [ARGUMENT]…\n%s\n\n", p->name, p->what);
	for (size_t i = 0; i < p->n; i++) {
		const char *what = line_two(p->verbs[i]->help);

		printf("  %-14s %.*s\n", p->verbs[i]->name, (int)strcspn(what, "\n"), what);
	}
	printf("\n%s'%s VERB --help' tells more.\n", ctl_options_help, p->name);
}

static const struct verb *verb_find(const struct tool *p, const char *name)
{
	for (size_t i = 0; i < p->n; i++)
		if (strcmp(p->verbs[i]->name, name) == 0)
			return p->verbs[i];
	return NULL;
}

static int usage_error(const char *what, const char *name)
{
	ctl_warn("%s%s%s%s", what, name ? " '" : "", name ? name : "", name ? "'" : "");
	fprintf(stderr, "Try '%s --help'.\n", ctl_name);
	return CTL_USAGE;
}

/* The first line of the help says which. */
static int argument_missing(const struct tool *p, const struct verb *v)
{
	ctl_warn("'%s' lacks an argument", v->name);
	fprintf(stderr, "Usage: %s %.*s\nTry '%s %s --help'.\n", p->name,
		(int)strcspn(v->help, "\n"), v->help, ctl_name, v->name);
	return CTL_USAGE;
}

static int verb_unknown(const struct tool *p, const char *name)
{
	__cleanup_free const char **names = mem_alloc0(p->n * sizeof(*names));
	const char *meant;

	for (size_t i = 0; i < p->n; i++)
		names[i] = p->verbs[i]->name;
	meant = closest(name, names, p->n);
	if (!meant)
		return usage_error("unknown verb", name);
	ctl_warn("unknown verb '%s': did you mean '%s'?", name, meant);
	return CTL_USAGE;
}

static int run(const struct tool *p, struct ctl *ctl)
{
	const struct verb *v = ctl->verb ? verb_find(p, ctl->verb) : NULL;

	if (ctl->version) {
		printf("%s %s\n", p->name, SLUICE_VERSION);
		return CTL_OK;
	}
	if (ctl->help && !ctl->verb) {
		print_help(p);
		return CTL_OK;
	}
	if (!v)
		return ctl->verb ? verb_unknown(p, ctl->verb) : usage_error("no verb given", NULL);
	if (ctl->help) {
		printf("Usage: %s %s%s", p->name, v->help, ctl_options_help);
		return CTL_OK;
	}
	if (ctl->n_args < v->min_args)
		return argument_missing(p, v);
	if (ctl->n_args > v->max_args)
		return usage_error("unexpected argument", ctl->args[v->max_args]);
	return p->run(ctl, v);
}

int ctl_main(const struct tool *p, int argc, char **argv)
{
	__cleanup(ctl_done) struct ctl ctl = {.argv = argv};
	struct err e = {0};
	int status;

	ctl_name = p->name;
	log_open(LOG_LEVEL_ERROR, LOG_FORMAT_LOGFMT, NULL, NULL);
	if (ctl_parse(&ctl, argc, argv, &e) < 0)
		return usage_error(e.msg, NULL);
	status = run(p, &ctl);
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	err_sys(&e, -errno, "write to standard output");
	return ctl_fail(&e);
}
