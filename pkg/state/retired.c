/* SPDX-License-Identifier: Apache-2.0 */
#include "state/retired.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <string.h>
#include <unistd.h>

#include "base/atomic_file.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "state/journal.h"
#include "state/record.h"

#define NAME	   "uninstalled"
#define RECORD_MAX (1u << 20)

bool retired_get(const char *state_dir)
{
	__cleanup_free char *path = mem_printf("%s/" NAME, state_dir);

	return access(path, F_OK) == 0;
}

int retired_store(const char *state_dir, bool retired, struct err *e)
{
	__cleanup_close int fd = -1;
	int r = retired ? dir_make(state_dir, 0700, e) : 0;

	if (r < 0)
		return r;
	fd = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT && !retired)
		return 0;
	if (fd < 0)
		return err_sys(e, -errno, "%s", state_dir);
	r = retired ? atomic_file_store(fd, NAME, "", 0, 0644, e) : atomic_file_remove(fd, NAME, e);
	return r < 0 ? err_wrap(e, "%s", state_dir) : 0;
}

/* ---- what is left ---- */

static int folder_open(const char *dir, const char *name, DIR **ret, struct err *e)
{
	__cleanup_free char *path = mem_printf("%s/%s", dir, name);

	*ret = opendir(path);
	return *ret ? 0 : errno == ENOENT ? 0 : err_sys(e, -errno, "%s", path);
}

/* In doubt it does: of a newer version, or its interface's index is somebody else's by now. */
static bool lives(int dirfd, const char *name)
{
	__cleanup(record_freep) struct record *rec = NULL;
	__cleanup_free char *text = NULL;
	char ifname[IF_NAMESIZE];
	size_t len;

	if (atomic_file_load(dirfd, name, RECORD_MAX, &text, &len, NULL) < 0 ||
	    record_parse(text, len, &rec, NULL) < 0)
		return true;
	if (rec->boot_id && strcmp(rec->boot_id, journal_boot_id()) != 0)
		return false;
	if (rec->kind == ATTACH_VETH && rec->ifindex)
		return if_indextoname(rec->ifindex, ifname) || errno != ENXIO;
	return !rec->netns || access(rec->netns, F_OK) == 0 || errno != ENOENT;
}

int state_count_pods(const char *state_dir, size_t *ret_n, struct err *e)
{
	struct dirent *de;
	size_t n = 0;
	DIR *d;
	int r = folder_open(state_dir, "attachments", &d, e);

	*ret_n = 0;
	if (r < 0 || !d)
		return r;
	while ((de = readdir(d)))
		n += *de->d_name != '.' && lives(dirfd(d), de->d_name);
	closedir(d);
	*ret_n = n;
	return 0;
}

/* A folder that is ours alone. */
static int folder_clear(const char *dir, const char *name, struct err *e)
{
	__cleanup_free char *path = mem_printf("%s/%s", dir, name);
	struct dirent *de;
	DIR *d;
	int r = folder_open(dir, name, &d, e);

	if (r < 0 || !d)
		return r;
	while (r == 0 && (de = readdir(d))) {
		if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0)
			continue;
		if (unlinkat(dirfd(d), de->d_name, 0) < 0 && errno != ENOENT)
			r = err_sys(e, -errno, "remove %s/%s", path, de->d_name);
	}
	closedir(d);
	if (r == 0 && rmdir(path) < 0 && errno != ENOENT)
		r = err_sys(e, -errno, "remove %s", path);
	return r;
}

static int files_remove(const char *dir, const char *const *names, struct err *e)
{
	__cleanup_close int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = 0;

	if (fd < 0)
		return errno == ENOENT ? 0 : err_sys(e, -errno, "%s", dir);
	for (size_t i = 0; r == 0 && names[i]; i++)
		r = atomic_file_remove(fd, names[i], e);
	return r < 0 ? err_wrap(e, "%s", dir) : 0;
}

int state_clear(const char *state_dir, const char *run_dir, bool all, struct err *e)
{
	static const char *const nobodys[] = {"snapshot",
					      "ids.json",
					      "last-good.log",
					      ".last-good.log.tmp",
					      "objects.log",
					      ".objects.log.tmp",
					      "counters.json",
					      "drained",
					      "last-good.json", /* of versions before the log */
					      NULL};
	static const char *const marks[] = {NAME, NULL};
	static const char *const run[] = {"sluiced.sock", "sluiced.lock", NULL};
	int r = files_remove(state_dir, nobodys, e);

	if (r < 0 || !all)
		return r;
	r = folder_clear(state_dir, "attachments", e);
	if (r == 0)
		r = folder_clear(run_dir, "locks", e);
	if (r == 0)
		r = files_remove(run_dir, run, e);
	if (r == 0)
		r = files_remove(state_dir, marks, e);
	if (r < 0)
		return r;
	rmdir(state_dir); /* unless somebody else keeps something there */
	rmdir(run_dir);
	return 0;
}
