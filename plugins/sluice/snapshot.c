/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "state/fingerprint.h"

/* The file is only ever replaced by rename, so what is mapped does not change or shrink. */
static int file_map(int fd, struct snapshot *s)
{
	struct stat st;
	void *p;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size <= 0)
		return -EINVAL;
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	s->data = p;
	s->len = (size_t)st.st_size;
	return 0;
}

int snapshot_open(struct snapshot *s, const char *state_dir, struct err *e)
{
	__cleanup_free char *path = mem_printf("%s/snapshot", state_dir);
	__cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	int r;

	*s = (struct snapshot){0};
	if (fd < 0)
		return err_sys(e, -errno, "%s", path);
	r = file_map(fd, s);
	if (r < 0)
		return err_sys(e, r, "%s", path);
	r = image_open(&s->img, s->data, s->len, e);
	if (r < 0) {
		snapshot_close(s);
		err_wrap(e, "%s", path);
		return r;
	}
	image_info_get(&s->img, &s->info);
	return 0;
}

void snapshot_close(struct snapshot *s)
{
	if (s->data)
		munmap(s->data, s->len);
	*s = (struct snapshot){0};
}

bool snapshot_fresh(const struct snapshot *s, const char *policy_dir)
{
	uint64_t now;

	if (!s->data)
		return false;
	if (!s->info.fingerprint)
		return true;
	return policy_fingerprint(policy_dir, &now, NULL) == 0 && now == s->info.fingerprint;
}
