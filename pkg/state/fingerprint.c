/* SPDX-License-Identifier: Apache-2.0 */
#include "state/fingerprint.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/hash.h"

#define FINGERPRINT_EMPTY 0x534c554943450001ull /* start value, so that no folder sums up to 0 */

bool policy_file_name(const char *name)
{
	static const char *const suffixes[] = {".yaml", ".yml", ".json"};
	size_t n = strlen(name);

	if (name[0] == '.' || name[0] == '#')
		return false;
	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		size_t s = strlen(suffixes[i]);

		if (n > s && strcmp(name + n - s, suffixes[i]) == 0)
			return true;
	}
	return false;
}

static uint64_t file_hash(const char *name, const struct stat *st)
{
	const uint64_t meta[] = {
		(uint64_t)st->st_size,
		(uint64_t)st->st_mtim.tv_sec,
		(uint64_t)st->st_mtim.tv_nsec,
		(uint64_t)st->st_ino,
	};

	return hash_bytes(meta, sizeof(meta), hash_str(name, 0));
}

int policy_fingerprint(const char *dir, uint64_t *ret, struct err *e)
{
	uint64_t sum = FINGERPRINT_EMPTY;
	struct dirent *de;
	DIR *d = opendir(dir);
	int r;

	if (!d && errno != ENOENT)
		return err_sys(e, -errno, "open %s", dir);
	while (d && (errno = 0, de = readdir(d))) {
		struct stat st;

		if (!policy_file_name(de->d_name))
			continue;
		if (fstatat(dirfd(d), de->d_name, &st, 0) < 0)
			memset(&st, 0, sizeof(st)); /* a dangling link is a state of its own */
		sum += file_hash(de->d_name, &st);
	}
	r = d ? -errno : 0;
	if (d)
		closedir(d);
	if (r < 0)
		return err_sys(e, r, "read %s", dir);
	*ret = sum ? sum : FINGERPRINT_EMPTY;
	return 0;
}
