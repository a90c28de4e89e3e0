/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * sluicectl: one verb, one file. A verb gathers what it knows as a JSON tree or as
 * rows of a table, whatever was asked for, and returns the exit status.
 */
#include <stdbool.h>

#include "config/daemon_conf.h"
#include "json/json.h"

enum ctl_exit { CTL_OK = 0, CTL_FAILED = 1, CTL_USAGE = 2, CTL_NOT_READY = 3 };

struct ctl {
	struct daemon_conf conf;
	bool json; /* -o json */
	bool wide; /* -o wide */
	bool help, version;
	bool all;     /* counters --all */
	bool force;   /* init --force */
	bool hits;    /* rules --hits */
	bool strict;  /* lint --strict */
	char *labels; /* explain, diff --labels; explain --proto, --port, --at, --fqdn */
	char *proto, *port, *at, *fqdn;
	char *pod; /* diff --pod */
	/* whom to ask: NULL, this node, or what kubectl would ask; and about which namespace */
	char *kubeconfig, *context, *namespace;
	char **argv;	    /* all of it, borrowed */
	const char *config; /* --config, borrowed; NULL: not given */
	char **args;	    /* behind the verb, borrowed from argv */
	int n_args;
	const char *verb; /* NULL: none was given */
};

struct verb {
	const char *name;
	int (*run)(struct ctl *ctl); /* enum ctl_exit */
	int min_args, max_args;
	const char *help; /* first line is the usage, second what it does */
};

extern const struct verb verb_init, verb_status, verb_gateways, verb_policies, verb_bindings,
	verb_explain, verb_counters, verb_check_config, verb_names, verb_rules, verb_lint,
	verb_diff, verb_drain, verb_undrain, verb_support_bundle;

/* run.c */

/* One of the two programs that are made of this: sluicectl, and kubectl-sluice. */
struct tool {
	const char *name; /* as people call it: "kubectl sluice" */
	const char *what; /* a line of --help */
	const struct verb *const *verbs;
	size_t n;
	int (*run)(struct ctl *ctl, const struct verb *v); /* enum ctl_exit */
};
int ctl_main(const struct tool *p, int argc, char **argv);

/* The one of list that somebody who wrote name may have meant; NULL: none is near. */
const char *closest(const char *name, const char *const *list, size_t n);

/* options.c */
int ctl_parse(struct ctl *ctl, int argc, char **argv, struct err *e); /* 0 or -EINVAL */
void ctl_done(struct ctl *ctl);
extern const char ctl_options_help[];

/* print.c */
extern const char *ctl_name; /* what messages begin with */
void ctl_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
int ctl_fail(const struct err *e);	   /* says it on stderr; CTL_FAILED */
void ctl_print_json(const struct json *j); /* indented, with a newline */

/* Rows of as many cells as the head; NULL cells print as "-". Cells are copied. */
struct table;
struct table *table_new(const char *const *head, size_t columns);
void table_row(struct table *t, const char *const *cells);
void table_print(const struct table *t); /* columns as wide as they need, two blanks between */
void table_free(struct table *t);
DEFINE_CLEANUP(struct table *, table_free);
