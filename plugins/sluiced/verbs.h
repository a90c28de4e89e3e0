/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * sluiced install, sluiced uninstall: each has options of its own over the daemon's
 * settings, does its work once, and says what it did, in lines or as JSON.
 */
#include <getopt.h>
#include <stdbool.h>

#include "config/daemon_conf.h"
#include "json/json.h"

#define VERB_OK	       0
#define VERB_FAILED    1
#define VERB_USAGE     2
#define VERB_NOT_READY 3

struct verb_options {
	struct daemon_conf conf;
	const char *config, *conf_dir, *bin_dir, *from, *programs, *entry, *version_file;
	bool programs_only, dry_run, json, purge, force, help;
};

/* options: of the verb; values as verbs.c knows them. 0, or -EINVAL with what is wrong. */
int verb_options_parse(struct verb_options *o, const struct option *options, int argc, char **argv,
		       struct err *e);
void verb_options_done(struct verb_options *o);

enum verb_option {
	VERB_CONFIG = 1,
	VERB_CONF_DIR,
	VERB_BIN_DIR,
	VERB_FROM,
	VERB_PROGRAMS,
	VERB_PROGRAMS_ONLY,
	VERB_ENTRY,
	VERB_VERSION_FILE,
	VERB_DRY_RUN,
	VERB_PURGE,
	VERB_FORCE,
	VERB_HELP,
	VERB_OUTPUT = 'o',
};

int verb_usage(const char *verb, const struct err *e);
int verb_failed(const char *verb, const struct err *e);
void verb_print_json(const struct json *report);

int install_main(int argc, char **argv);
int uninstall_main(int argc, char **argv);
extern const char install_help[], uninstall_help[];
extern const struct option install_options[], uninstall_options[];
