/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list says that our plugin is called; that it can be, and that it is the one that
 * belongs to this daemon and finds it, is looked at here.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "config/plugin_conf.h"
#include "install/conflist.h"
#include "install/folder.h"
#include "install/install.h"
#include "install/program.h"

/* The plugin that came with this program: beside it. */
static char *plugin_beside(void)
{
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (n <= 0)
		return NULL;
	self[n] = '\0';
	slash = strrchr(self, '/');
	return slash ? mem_printf("%.*s/sluice", (int)(slash - self), self) : NULL;
}

/* Read again only when it is another file or was written. */
struct seen {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec at;
};

static bool seen_equal(const struct seen *a, const struct seen *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	       a->at.tv_sec == b->at.tv_sec && a->at.tv_nsec == b->at.tv_nsec;
}

static const char *plugin_version(const char *path, const struct stat *st)
{
	static char version[64];
	static struct seen last;
	struct seen now = {st->st_dev, st->st_ino, st->st_size, st->st_mtim};
	__cleanup_free char *beside = plugin_beside();

	if (seen_equal(&last, &now))
		return version;
	last = (struct seen){0}; /* what could not be read is read again */
	if (beside && program_same(path, beside))
		snprintf(version, sizeof(version), "%s", SLUICE_VERSION);
	else if (program_version(path, version) < 0)
		return "";
	last = now;
	return version;
}

static void plugin_judge(const struct daemon_conf *conf, struct chain_verdict *v)
{
	__cleanup_free char *path = mem_printf("%s/" CONFLIST_TYPE, conf->cni_bin_dir);
	const char *version;
	struct stat st;

	if (stat(path, &st) < 0) {
		chain_say(v, false, "PluginMissing", "%s: %s: run sluiced install", path,
			  strerror(errno));
		return;
	}
	if (!S_ISREG(st.st_mode) || !(st.st_mode & 0111)) {
		chain_say(v, false, "PluginMissing", "%s is not a program: run sluiced install",
			  path);
		return;
	}
	version = plugin_version(path, &st);
	if (strcmp(version, SLUICE_VERSION) != 0)
		chain_say(v, false, "PluginVersion",
			  "%s is version %s, this daemon is %s: run sluiced install", path,
			  *version ? version : "unknown", SLUICE_VERSION);
}

static const char *different(const struct daemon_conf *conf, const struct plugin_conf *p)
{
	return strcmp(conf->state_dir, p->state_dir) != 0 ? "stateDir"
	       : strcmp(conf->run_dir, p->run_dir) != 0	  ? "runDir"
	       : strcmp(conf->bpffs, p->bpffs) != 0	  ? "bpffs"
							  : NULL;
}

/* The plugin must look where the daemon works. */
static void entry_judge(const struct daemon_conf *conf, const struct chain_file *f,
			struct chain_verdict *v)
{
	__cleanup_json struct json *list = NULL;
	struct plugin_conf *p = NULL;
	struct err e = {0};
	const char *key;

	if (conflist_parse(f->name, f->text, f->len, &list, &e) < 0 || !conflist_entry(list))
		return; /* Multus: in its delegate */
	if (plugin_conf_parse(conflist_entry(list), &p, &e) < 0) {
		chain_say(v, false, "EntryInvalid", "%s: %.400s", f->name, e.msg);
		return;
	}
	key = different(conf, p);
	if (key)
		chain_say(v, false, "EntryElsewhere", "%s: the %s of our entry is not the daemon's",
			  f->name, key);
	plugin_conf_free(p);
}

void install_in_force(const struct daemon_conf *conf, struct chain_verdict *ret)
{
	__cleanup_json struct json *fallback = install_entry(conf, NULL);
	__cleanup(chain_dir_done) struct chain_dir dir = {0};
	struct chain_in in = {
		.dir = &dir,
		.entry = conf->cni_entry,
		.fallback = fallback,
	};
	struct err e = {0};

	*ret = (struct chain_verdict){0};
	if (chain_dir_load(conf->cni_conf_dir, &dir, &e) < 0) {
		chain_say(ret, false, "NoConfiguration", "%.400s", e.msg);
		return;
	}
	chain_judge(&in, ret);
	if (ret->in_force)
		entry_judge(conf, &dir.files[0], ret);
	if (ret->in_force)
		plugin_judge(conf, ret);
}
