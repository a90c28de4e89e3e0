/* SPDX-License-Identifier: Apache-2.0 */
#include "tar.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include "base/mem.h"

#define BLOCK 512

struct tar {
	gzFile gz;
	int code; /* of the first write that failed */
};

/* As POSIX has it: numbers are octal text. */
struct header {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8], type, link[100];
	char magic[6], version[2], user[32], group[32], major[8], minor[8], prefix[155], pad[12];
};
_Static_assert(sizeof(struct header) == BLOCK, "a header is a block");

int tar_open(int take_fd, struct tar **ret, struct err *e)
{
	gzFile gz = gzdopen(take_fd, "wb6");
	struct tar *t;

	if (!gz) {
		close(take_fd);
		return err_set(e, -ENOMEM, "zlib cannot write");
	}
	t = mem_alloc0(sizeof(*t));
	t->gz = gz;
	*ret = t;
	return 0;
}

static void put(struct tar *t, const void *data, size_t len)
{
	int zlib;

	errno = 0;
	if (t->code == 0 && len && gzwrite(t->gz, data, (unsigned int)len) <= 0) {
		gzerror(t->gz, &zlib);
		t->code = zlib == Z_ERRNO && errno ? -errno : -EIO;
	}
}

void tar_add(struct tar *t, const char *name, const void *data, size_t len)
{
	static const char zeros[BLOCK];
	struct header h = {.mode = "0000600", .uid = "0000000", .gid = "0000000", .type = '0'};
	const unsigned char *bytes = (const unsigned char *)&h;
	unsigned int sum = 0;

	snprintf(h.name, sizeof(h.name), "%s", name);
	snprintf(h.size, sizeof(h.size), "%011zo", len);
	snprintf(h.mtime, sizeof(h.mtime), "%011llo", (unsigned long long)time(NULL));
	memcpy(h.magic, "ustar", 6);
	memcpy(h.version, "00", 2);
	memset(h.sum, ' ', sizeof(h.sum));
	for (size_t i = 0; i < sizeof(h); i++)
		sum += bytes[i];
	snprintf(h.sum, sizeof(h.sum), "%06o", sum & 0777777);
	put(t, &h, sizeof(h));
	put(t, data, len);
	put(t, zeros, (BLOCK - len % BLOCK) % BLOCK);
}

int tar_close(struct tar *t, struct err *e)
{
	static const char zeros[2 * BLOCK];
	int r;

	put(t, zeros, sizeof(zeros));
	r = t->code;
	if (gzclose(t->gz) != Z_OK && r == 0)
		r = errno ? -errno : -EIO;
	free(t);
	return r < 0 ? err_sys(e, r, "write") : 0;
}
