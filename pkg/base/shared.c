/* SPDX-License-Identifier: Apache-2.0 */
#include "base/shared.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

struct shared {
	struct shared *next;
	uint32_t hash, uses, room, len;
	char data[]; /* the room, then the bytes */
};

static struct {
	struct shared **heads;
	size_t cap, n; /* cap is a power of two */
} table;

static struct shared *of(const void *p)
{
	return (struct shared *)((uintptr_t)p - offsetof(struct shared, data));
}

static void rehash(size_t cap)
{
	struct shared **heads = mem_alloc0(cap * sizeof(struct shared *));

	for (size_t i = 0; i < table.cap; i++)
		for (struct shared *s = table.heads[i], *next; s; s = next) {
			next = s->next;
			s->next = heads[s->hash & (cap - 1)];
			heads[s->hash & (cap - 1)] = s;
		}
	free(table.heads);
	table.heads = heads;
	table.cap = cap;
}

static struct shared *find(const void *bytes, size_t len, size_t room, uint32_t hash)
{
	struct shared *s = table.cap ? table.heads[hash & (table.cap - 1)] : NULL;

	while (s && (s->hash != hash || s->len != len || s->room != room ||
		     memcmp(s->data + room, bytes, len) != 0))
		s = s->next;
	return s;
}

void *shared_bytes(const void *bytes, size_t len, size_t room, bool *ret_new)
{
	uint32_t hash = (uint32_t)hash_bytes(bytes, len, room);
	struct shared *s = find(bytes, len, room, hash);

	*ret_new = !s;
	if (s) {
		s->uses++;
		return s->data;
	}
	if (table.n == table.cap)
		rehash(table.cap ? table.cap * 2 : 64);
	s = mem_alloc0(sizeof(*s) + room + len);
	s->hash = hash;
	s->uses = 1;
	s->room = (uint32_t)room;
	s->len = (uint32_t)len;
	memcpy(s->data + room, bytes, len);
	s->next = table.heads[hash & (table.cap - 1)];
	table.heads[hash & (table.cap - 1)] = s;
	table.n++;
	return s->data;
}

const char *shared_text(const char *s)
{
	bool is_new;

	return s ? shared_bytes(s, strlen(s) + 1, 0, &is_new) : NULL;
}

void shared_drop(const void *p)
{
	struct shared *s = p ? of(p) : NULL, **at;

	if (!s || --s->uses)
		return;
	at = &table.heads[s->hash & (table.cap - 1)];
	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	free(s);
	if (--table.n)
		return;
	free(table.heads);
	table.heads = NULL;
	table.cap = 0;
}

size_t shared_count(void)
{
	return table.n;
}
