/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/keyring.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/atomic_file.h"
#include "base/cleanup.h"
#include "base/hash.h"

#define FILE_MAX (KEYRING_MAX * (HEARTBEAT_KEY_MAX + 64)) /* white space at the end of lines */

void keyring_wipe(struct keyring *ring)
{
	explicit_bzero(ring, sizeof(*ring));
}

const struct keyring_key *keyring_find(const struct keyring *ring, uint64_t id)
{
	for (size_t i = 0; i < ring->n; i++)
		if (ring->keys[i].id == id)
			return &ring->keys[i];
	return NULL;
}

void keyring_add(struct keyring *ring, const void *bytes, size_t len)
{
	struct keyring_key k = {.key.len = len, .id = hash_bytes(bytes, len, 3)};

	memcpy(k.key.bytes, bytes, len);
	if (!keyring_find(ring, k.id))
		ring->keys[ring->n++] = k;
}

/* ---- the file ---- */

static int key_parse(const char *text, size_t len, size_t line, struct keyring *ret, struct err *e)
{
	while (len && isspace((unsigned char)text[len - 1]))
		len--;
	if (!len && line)
		return 0;
	if (len < HEARTBEAT_KEY_MIN || len > HEARTBEAT_KEY_MAX)
		return err_set(e, -EINVAL, "line %zu: expected a key of %d to %d bytes, found %zu",
			       line ?: 1, HEARTBEAT_KEY_MIN, HEARTBEAT_KEY_MAX, len);
	if (ret->n == KEYRING_MAX)
		return err_set(e, -EINVAL, "line %zu: more than %d keys", line, KEYRING_MAX);
	keyring_add(ret, text, len);
	return 0;
}

static bool is_text(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!isprint((unsigned char)text[i]) && !isspace((unsigned char)text[i]))
			return false;
	return true;
}

int keyring_parse(const char *text, size_t len, struct keyring *ret, struct err *e)
{
	struct keyring ring = {0};
	size_t line = 1;
	int r = 0;

	if (!is_text(text, len)) {
		r = key_parse(text, len, 0, &ring, e);
		len = 0;
	}
	while (r == 0 && len) {
		const char *end = memchr(text, '\n', len);
		size_t n = end ? (size_t)(end - text) + 1 : len;

		r = key_parse(text, n, line++, &ring, e);
		text += n;
		len -= n;
	}
	if (r == 0 && !ring.n)
		r = err_set(e, -EINVAL, "no key in it");
	if (r == 0)
		*ret = ring;
	keyring_wipe(&ring);
	return r;
}

int keyring_load(const char *path, struct keyring *ret, struct err *e)
{
	__cleanup_free char *text = NULL;
	size_t len = 0;
	int r = atomic_file_load(AT_FDCWD, path, FILE_MAX, &text, &len, e);

	if (r < 0)
		return r;
	r = keyring_parse(text, len, ret, e);
	explicit_bzero(text, len);
	return r < 0 ? err_wrap(e, "%s", path) : 0;
}

/* ---- over time ---- */

static bool same_as_file(const struct keyring *ring, const struct keyring *file)
{
	for (size_t i = 0; i < file->n; i++)
		if (i >= ring->n || ring->keys[i].until || ring->keys[i].id != file->keys[i].id)
			return false;
	return ring->n == file->n || ring->keys[file->n].until;
}

/* Of those that are not in the file any more the last ones that signed are the ones to keep. */
bool keyring_turn(struct keyring *ring, const struct keyring *file, int64_t now)
{
	struct keyring next = *file;

	if (same_as_file(ring, file))
		return false;
	for (size_t i = 0; i < ring->n && next.n < 2 * KEYRING_MAX; i++) {
		if (keyring_find(&next, ring->keys[i].id))
			continue;
		next.keys[next.n] = ring->keys[i];
		if (!ring->keys[i].until)
			next.keys[next.n].until = now + KEYRING_GRACE_MS;
		next.n++;
	}
	*ring = next;
	keyring_wipe(&next);
	return true;
}

void keyring_expire(struct keyring *ring, int64_t now)
{
	size_t kept = 0, n = ring->n;

	for (size_t i = 0; i < n; i++)
		if (!ring->keys[i].until || ring->keys[i].until > now)
			ring->keys[kept++] = ring->keys[i];
	ring->n = kept;
	explicit_bzero(&ring->keys[kept], (n - kept) * sizeof(ring->keys[0]));
}

int64_t keyring_due(const struct keyring *ring)
{
	int64_t due = INT64_MAX;

	for (size_t i = 0; i < ring->n; i++)
		if (ring->keys[i].until && ring->keys[i].until < due)
			due = ring->keys[i].until;
	return due;
}

/* ---- in use ---- */

size_t keyring_tells(const struct keyring *ring, uint64_t id)
{
	return ring->n && ring->keys[0].id == id ? 1 : ring->n;
}

int keyring_heartbeat(const struct keyring *ring, const void *buf, size_t len,
		      struct heartbeat *ret)
{
	int r = -EKEYREJECTED;

	for (size_t i = 0; r == -EKEYREJECTED && i < ring->n; i++) {
		r = heartbeat_parse(buf, len, &ring->keys[i].key, ret);
		if (r == 0)
			ret->key = ring->keys[i].id;
	}
	return r;
}
