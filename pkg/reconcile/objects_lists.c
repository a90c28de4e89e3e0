/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists: what is not in them is gone. A collection may be told in parts by several watches, which
 * overlap; then an object is there for as long as one of them tells it.
 */
#include "base/clock.h"
#include "reconcile/objects_priv.h"

void objects_speaker(struct objects *o, unsigned int source)
{
	o->speaker = 1ull << source;
}

/* Who told it, by bit: most often there is but one who may. */
static uint64_t sources_get(const struct object *obj)
{
	return (obj->told ? 1 : 0) | (obj->played ? SOURCE_LOG : 0) | obj->more->sources;
}

static void sources_set(struct object *obj, uint64_t sources)
{
	uint64_t others = sources & ~(SOURCE_LOG | 1);

	obj->told = sources & 1;
	obj->played = sources & SOURCE_LOG;
	if (others != obj->more->sources)
		object_more(obj)->sources = others;
}

/* … and in the list under way. */
static uint64_t listed_get(const struct object *obj)
{
	return (obj->listed ? 1 : 0) | obj->more->listed;
}

static void listed_set(struct object *obj, uint64_t sources)
{
	obj->listed = sources & 1;
	if ((sources & ~1ull) != obj->more->listed)
		object_more(obj)->listed = sources & ~1ull;
}

void object_told(struct objects *o, enum collection c, struct object *obj)
{
	if (o->replaying) {
		sources_set(obj, SOURCE_LOG);
		return;
	}
	sources_set(obj, sources_get(obj) | o->speaker);
	listed_set(obj, listed_get(obj) | o->speaker);
}

/* These do not tell it any more. */
static void untell(struct objects *o, enum collection c, size_t i, uint64_t sources)
{
	struct object *obj = o->of[c].list[i];

	sources_set(obj, sources_get(obj) & ~sources);
	if (!sources_get(obj) && !obj->gone)
		object_leave(o, c, i);
}

/* All have told their parts: what only the log has said is gone, too. */
static void settle(struct objects *o, enum collection c)
{
	struct objects_of *of = &o->of[c];
	uint64_t awaited = of->awaited ? of->awaited : 1;

	of->synced = !of->open && (of->told & awaited) == awaited;
	if (!of->synced)
		return;
	of->halved = false;
	for (size_t i = of->n; i-- > 0;)
		untell(o, c, i, SOURCE_LOG);
	if (!of->known_at.len)
		objects_log_known(o, c);
	if (of->known)
		return;
	of->known = true;
	o->nodes_serial++;
	o->changed = true;
}

void objects_begin(struct objects *o, enum collection c)
{
	for (size_t i = 0; i < o->of[c].n; i++)
		listed_set(o->of[c].list[i], listed_get(o->of[c].list[i]) & ~o->speaker);
	o->of[c].listing |= o->speaker;
	o->of[c].lists++;
}

void objects_synced(struct objects *o, enum collection c)
{
	struct objects_of *of = &o->of[c];

	o->told_at = wall_ms();
	for (size_t i = of->n; of->listing & o->speaker && i-- > 0;)
		if (!(listed_get(of->list[i]) & o->speaker))
			untell(o, c, i, o->speaker);
	of->listing &= ~o->speaker;
	if (!(of->told & o->speaker))
		o->nodes_serial++;
	of->told |= o->speaker;
	settle(o, c);
}

/*
 * A watch may be behind what was asked for: then it tells that the pod before the one of that name
 * is gone. Of several watches of nodes each says what left its own part, and may be behind the
 * others.
 */
static bool is_old(const struct objects *o, enum collection c, size_t i, const char *version)
{
	uint64_t at = object_version(version);

	return c != OBJECTS_NODES && at && at < o->of[c].list[i]->version;
}

void objects_gone(struct objects *o, enum collection c, const char *namespace, const char *name,
		  const char *version)
{
	size_t i = objects_index(o, c, namespace, name);

	o->of[c].objects++;
	o->told_at = wall_ms();
	if (i != SIZE_MAX && !is_old(o, c, i, version))
		untell(o, c, i, o->speaker | SOURCE_LOG);
}

/* ---- nodes ---- */

/* Until they have told their parts, what is known is less than what was asked for. */
void objects_awaits(struct objects *o, uint64_t sources, bool determined)
{
	struct objects_of *of = &o->of[OBJECTS_NODES];
	bool whole = of->synced;

	of->awaited = sources;
	of->open = !determined;
	settle(o, OBJECTS_NODES);
	of->halved |= whole && !of->synced;
}

void objects_silence(struct objects *o, unsigned int source)
{
	struct objects_of *of = &o->of[OBJECTS_NODES];

	for (size_t i = of->n; i-- > 0;)
		untell(o, OBJECTS_NODES, i, 1ull << source);
	of->told &= ~(1ull << source);
	of->listing &= ~(1ull << source);
}

uint64_t objects_nodes_serial(const struct objects *o)
{
	return o->nodes_serial;
}
