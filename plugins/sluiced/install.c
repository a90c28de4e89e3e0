/* SPDX-License-Identifier: Apache-2.0 */
/* sluiced install: the programs first, then the list that names them. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/atomic_file.h"
#include "base/mem.h"
#include "install/install.h"
#include "install/program.h"
#include "state/retired.h"
#include "verbs.h"

#define ENTRY_MAX (1u << 16)

const char install_help[] =
	"Usage: sluiced install [OPTION]…\n"
	"Puts the plugin into the CNI chain of this node: the program into the folder where\n"
	"runtimes look for plugins, and a conflist that sorts first, " CHAIN_FILE ":\n"
	"the main CNI's list with Sluice's entry last. What is right already is left alone.\n"
	"\n"
	"  --config FILE      the daemon's settings (default: " CONF_FILE ")\n"
	"  --conf-dir DIR     folder of the conflists (default: cniConfDir, " CONF_CNI_CONF_DIR
	")\n"
	"  --bin-dir DIR      folder of the plugins (default: cniBinDir, " CONF_CNI_BIN_DIR ")\n"
	"  --from DIR         where the programs are (default: the folder of this one)\n"
	"  --programs LIST    which ones: of sluice, sluiced, sluicectl (default: sluice)\n"
	"  --programs-only    no conflist: the daemon keeps it (cniConfDir)\n"
	"  --entry JSON|FILE  Sluice's entry (default: cniEntry, what is there, or one\n"
	"                     that follows from the settings)\n"
	"  --version-file FILE  write this program's version there: to /dev/termination-log,\n"
	"                     from where the cluster's API has it\n"
	"  --dry-run          only show what would be done\n"
	"  -o, --output FORMAT  text (default) or json\n"
	"  --help\n"
	"\n"
	"Exit status: 0 new pods go through the plugin, 1 failed, 2 wrong use, 3 done, but\n"
	"they do not go through it yet.\n";

const struct option install_options[] = {
	{"config", required_argument, NULL, VERB_CONFIG},
	{"conf-dir", required_argument, NULL, VERB_CONF_DIR},
	{"bin-dir", required_argument, NULL, VERB_BIN_DIR},
	{"from", required_argument, NULL, VERB_FROM},
	{"programs", required_argument, NULL, VERB_PROGRAMS},
	{"programs-only", no_argument, NULL, VERB_PROGRAMS_ONLY},
	{"entry", required_argument, NULL, VERB_ENTRY},
	{"version-file", required_argument, NULL, VERB_VERSION_FILE},
	{"dry-run", no_argument, NULL, VERB_DRY_RUN},
	{"output", required_argument, NULL, VERB_OUTPUT},
	{"help", no_argument, NULL, VERB_HELP},
	{0},
};

static const char *const known[] = {"sluice", "sluiced", "sluicectl"};

static bool is_known(const char *name, size_t len)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strlen(known[i]) == len && memcmp(known[i], name, len) == 0)
			return true;
	return false;
}

static char *own_folder(void)
{
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n <= 0)
		return mem_strdup(".");
	self[n] = '\0';
	*strrchr(self, '/') = '\0';
	return mem_strdup(self);
}

static void program_say(struct json *list, const char *path, const char *action,
			const struct program_report *p)
{
	__cleanup_free char *sum = mem_printf("%016" PRIx64, p->checksum);
	struct json *o = json_new_object();

	json_set(o, "path", json_new_string(path));
	json_set(o, "action", json_new_string(action));
	json_set(o, "version", json_new_string(*p->version ? p->version : "unknown"));
	if (*p->before)
		json_set(o, "before", json_new_string(p->before));
	if (p->checksum)
		json_set(o, "xxh64", json_new_string(sum));
	json_append(list, o);
}

/* The plugin may have been installed by other means, and this program elsewhere. */
static int program_one(const struct verb_options *o, const char *name, struct json *list,
		       struct err *e)
{
	__cleanup_free char *from = o->from ? mem_strdup(o->from) : own_folder();
	__cleanup_free char *source = mem_printf("%s/%s", from, name);
	__cleanup_free char *path = mem_printf("%s/%s", o->conf.cni_bin_dir, name);
	struct program_report p = {0};
	int r;

	if (!o->from && access(source, F_OK) < 0 && access(path, X_OK) == 0) {
		program_version(path, p.version);
		program_say(list, path, "kept", &p);
		return 0;
	}
	r = program_install(source, o->conf.cni_bin_dir, name, o->dry_run, &p, e);
	if (r == -ENOENT && access(source, F_OK) < 0)
		return err_set(e, r, "%s is not there: say by --from where the programs are",
			       source);
	if (r == 0)
		program_say(list, path, p.changed ? "installed" : "unchanged", &p);
	return r;
}

/* Before any of them is installed: a name that is none is wrong use. */
static int programs_check(const struct verb_options *o, struct err *e)
{
	const char *name = o->programs ? o->programs : known[0];

	do {
		size_t n = strcspn(name, ",");

		if (!is_known(name, n))
			return err_set(e, -EINVAL,
				       "--programs '%.*s': expected sluice, sluiced or sluicectl",
				       (int)n, name);
		name += n + (name[n] == ',');
	} while (*name);
	return 0;
}

static int programs(const struct verb_options *o, struct json *list, struct err *e)
{
	const char *name = o->programs ? o->programs : known[0];
	int r = 0;

	while (r == 0 && *name) {
		size_t n = strcspn(name, ",");
		__cleanup_free char *one = mem_printf("%.*s", (int)n, name);

		r = program_one(o, one, list, e);
		name += n + (name[n] == ',');
	}
	return r;
}

static int entry_take(struct verb_options *o, struct err *e)
{
	__cleanup_json struct json *j = NULL;
	__cleanup_free char *text = NULL;
	struct json *entry;
	size_t len;
	int r = 0;

	if (!o->entry)
		return 0;
	if (*o->entry == '{')
		text = mem_strdup(o->entry);
	else
		r = atomic_file_load(AT_FDCWD, o->entry, ENTRY_MAX, &text, &len, e);
	if (r == 0)
		r = json_parse(text, strlen(text), &j, e);
	if (r == 0)
		r = cni_entry_parse(j, &entry, e);
	if (r < 0)
		return err_wrap(e, "--entry");
	json_free(o->conf.cni_entry);
	o->conf.cni_entry = entry;
	return 0;
}

static int list_write(const struct verb_options *o, struct json *report, struct err *e)
{
	__cleanup_free char *path = mem_printf("%s/" CHAIN_FILE, o->conf.cni_conf_dir);
	struct json *list = json_new_object();
	struct install_report done = {0};
	int r = install_chain(&o->conf, o->dry_run, &done, e);
	const char *action = done.text ? "written" : *done.main ? "unchanged" : "none";

	json_set(list, "path", json_new_string(path));
	json_set(list, "action", json_new_string(action));
	if (*done.main)
		json_set(list, "copyOf", json_new_string(done.main));
	if (done.why.code)
		json_set(list, "reason", json_new_string(done.why.msg));
	if (o->dry_run && done.text)
		json_set(list, "text", json_new_string(done.text));
	json_set(report, "list", list);
	free(done.text);
	return r;
}

static bool judge(const struct verb_options *o, struct json *report)
{
	struct chain_verdict v;

	install_in_force(&o->conf, &v);
	json_set(report, "inForce", json_new_bool(v.in_force));
	json_set(report, "reason", json_new_string(v.reason));
	json_set(report, "message", json_new_string(v.message));
	return v.in_force;
}

static const char *text_of(const struct json *o, const char *key)
{
	const char *s = NULL;

	return json_string(json_get(o, key), &s, NULL) == 0 ? s : NULL;
}

static void print_report(const struct json *report, bool dry)
{
	const struct json *all = json_get(report, "programs"), *list = json_get(report, "list");
	bool yes = false;

	for (size_t i = 0; i < json_len(all); i++) {
		const struct json *p = json_at(all, i);

		printf("%s: %s, version %s", text_of(p, "path"), text_of(p, "action"),
		       text_of(p, "version"));
		if (text_of(p, "before"))
			printf(", before %s", text_of(p, "before"));
		printf(text_of(p, "xxh64") ? ", xxh64 %s\n" : "\n", text_of(p, "xxh64"));
	}
	if (list)
		printf("%s: %s%s%s%s%s\n", text_of(list, "path"), text_of(list, "action"),
		       text_of(list, "copyOf") ? ", a copy of " : "", text_of(list, "copyOf") ?: "",
		       text_of(list, "reason") ? ": " : "", text_of(list, "reason") ?: "");
	if (text_of(list, "text"))
		fputs(text_of(list, "text"), stdout);
	if (json_bool(json_get(report, "inForce"), &yes, NULL) == 0)
		printf("%s: %s\n", yes ? "in force" : "not in force", text_of(report, "message"));
	if (dry)
		puts("nothing was changed (--dry-run)");
}

/* Not by rename: a container's is a mount. For people: without it all else is as it was. */
static void version_write(const char *path)
{
	__cleanup_file FILE *f = path ? fopen(path, "we") : NULL;

	if (path && (!f || fputs(SLUICE_VERSION, f) < 0 || fflush(f) != 0))
		fprintf(stderr, "sluiced: install: %s: %s\n", path, strerror(errno));
}

static int install(struct verb_options *o, struct json *report, bool *ret_ready, struct err *e)
{
	struct json *list = json_new_array();
	int r;

	json_set(report, "programs", list);
	r = programs(o, list, e);
	if (r == 0 && !o->dry_run)
		r = retired_store(o->conf.state_dir, false, e);
	if (r == 0 && !o->programs_only)
		r = list_write(o, report, e);
	*ret_ready = o->programs_only || o->dry_run || (r == 0 && judge(o, report));
	return r;
}

int install_main(int argc, char **argv)
{
	__cleanup(verb_options_done) struct verb_options o = {0};
	__cleanup_json struct json *report = json_new_object();
	struct err e = {0};
	bool ready;
	int r;

	if (verb_options_parse(&o, install_options, argc, argv, &e) < 0 ||
	    programs_check(&o, &e) < 0 || entry_take(&o, &e) < 0)
		return verb_usage("install", &e);
	if (o.help) {
		fputs(install_help, stdout);
		return VERB_OK;
	}
	if (!o.dry_run)
		version_write(o.version_file);
	umask(022); /* a program that others cannot read is of no use to runtimes */
	r = install(&o, report, &ready, &e);
	if (o.json)
		verb_print_json(report);
	else
		print_report(report, o.dry_run);
	if (r < 0)
		return verb_failed("install", &e);
	return ready ? VERB_OK : VERB_NOT_READY;
}
