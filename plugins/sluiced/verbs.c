/* SPDX-License-Identifier: Apache-2.0 */
#include "verbs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

static int option_set(struct verb_options *o, int id, const char *value, struct err *e)
{
	const char **texts[] = {
		[VERB_CONFIG] = &o->config,
		[VERB_CONF_DIR] = &o->conf_dir,
		[VERB_BIN_DIR] = &o->bin_dir,
		[VERB_FROM] = &o->from,
		[VERB_PROGRAMS] = &o->programs,
		[VERB_ENTRY] = &o->entry,
		[VERB_VERSION_FILE] = &o->version_file,
	};
	bool *flags[] = {
		[VERB_PROGRAMS_ONLY] = &o->programs_only,
		[VERB_DRY_RUN] = &o->dry_run,
		[VERB_PURGE] = &o->purge,
		[VERB_FORCE] = &o->force,
		[VERB_HELP] = &o->help,
	};

	if (id == VERB_OUTPUT) {
		o->json = strcmp(value, "json") == 0;
		return o->json || strcmp(value, "text") == 0
			       ? 0
			       : err_set(e, -EINVAL, "-o '%s': expected text or json", value);
	}
	if (!value) {
		*flags[id] = true;
		return 0;
	}
	if ((id == VERB_CONF_DIR || id == VERB_BIN_DIR) && *value != '/')
		return err_set(e, -EINVAL, "'%s': expected an absolute path", value);
	*texts[id] = value;
	return 0;
}

static void text_set(char **field, const char *value, const char *fallback)
{
	if (!value && *field)
		return;
	free(*field);
	*field = mem_strdup(value ? value : fallback);
}

int verb_options_parse(struct verb_options *o, const struct option *options, int argc, char **argv,
		       struct err *e)
{
	int id, r = 0;

	daemon_conf_init(&o->conf);
	optind = 0;
	opterr = 0;
	while (r == 0 && (id = getopt_long(argc, argv, ":o:", options, NULL)) != -1) {
		if (id == '?')
			return err_set(e, -EINVAL, "unknown option '%s'", argv[optind - 1]);
		if (id == ':')
			return err_set(e, -EINVAL, "option '%s' needs a value", argv[optind - 1]);
		r = option_set(o, id, optarg, e);
	}
	if (r == 0 && optind < argc)
		r = err_set(e, -EINVAL, "unexpected argument '%s'", argv[optind]);
	if (r == 0)
		r = daemon_conf_load(&o->conf, o->config, e);
	if (r < 0)
		return r;
	text_set(&o->conf.cni_conf_dir, o->conf_dir, CONF_CNI_CONF_DIR);
	text_set(&o->conf.cni_bin_dir, o->bin_dir, CONF_CNI_BIN_DIR);
	return 0;
}

void verb_options_done(struct verb_options *o)
{
	daemon_conf_done(&o->conf);
}

int verb_usage(const char *verb, const struct err *e)
{
	fprintf(stderr, "sluiced %s: %s\nTry 'sluiced %s --help'.\n", verb, e->msg, verb);
	return VERB_USAGE;
}

int verb_failed(const char *verb, const struct err *e)
{
	fprintf(stderr, "sluiced %s: %s\n", verb, e->msg);
	return VERB_FAILED;
}

void verb_print_json(const struct json *report)
{
	__cleanup_free char *text = json_emit(report, 2);

	puts(text);
}
