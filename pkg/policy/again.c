/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a compile takes from the one before: the policies whose documents are the same,
 * with their rules and digests. A rule is made of its document, of destinations, gateways,
 * nodes and namespaces, and holds numbers of identities and names. So all of those must
 * be as they were, and a compile from nothing must come to the same names; if not,
 * nothing is taken. Identities get the numbers that a compile from nothing would give them.
 *
 * Most edits are of a few policies, which stay in their places: then the list itself is taken,
 * and only they are looked at.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "policy/compiled.h"

/* ---- identities and names: the numbers that they had ---- */

struct list {
	struct compiled_policy **items;
	size_t n;
};

static void list_add(struct list *l, struct compiled_policy *p)
{
	MEM_GROW(l->items, l->n);
	l->items[l->n++] = p;
}

struct again {
	struct compiled *c, *old;
	struct list all;	/* what c comes to have, in order: old's where it is taken */
	struct list gone, come; /* old's that c does not take; c's own */
	uint32_t *uses;		/* of old's names, then of c's */
	uint32_t *numbers;	/* of identities, by those in the lists; NULL: they stay */
	uint32_t *users;	/* c's */
};

static void again_done(struct again *a)
{
	free(a->all.items);
	free(a->gone.items);
	free(a->come.items);
	free(a->uses);
	free(a->numbers);
	free(a->users);
}

static const struct doc_via *via_of(const struct compiled_policy *p, uint32_t identity)
{
	for (size_t i = 0; i < p->n_rules; i++)
		if (p->rules[i].identity == identity)
			return p->rules[i].rule ? &p->rules[i].rule->via : &p->doc->default_via;
	return NULL;
}

/* Asks for old's identities in their order. */
static bool identities_seed(struct identities *ids, const struct compiled *old)
{
	for (uint32_t i = 1; i < old->n_identities; i++) {
		const struct compiled_policy *p = &old->policies[old->users[i]];

		if (identities_get(ids, p->doc, via_of(p, i)) != i)
			return false;
	}
	return true;
}

/*
 * A compile from nothing numbers them as it meets them. numbers: by those that they have now, 0 =
 * nobody has it; users: by those that they get. Returns how many there are, 0 itself included.
 */
static uint32_t identities_order(const struct list *l, uint32_t *numbers, uint32_t *users)
{
	uint32_t next = 1;

	for (size_t i = 0; i < l->n; i++)
		for (size_t k = 0; k < l->items[i]->n_identities; k++) {
			uint32_t id = l->items[i]->identities[k];

			if (numbers[id])
				continue;
			users[next] = (uint32_t)i;
			numbers[id] = next++;
		}
	return next;
}

static bool is_in_order(const uint32_t *numbers, uint32_t n)
{
	uint32_t i = 1;

	while (i < n && numbers[i] == i)
		i++;
	return i == n;
}

/* Those of the list in their new order. False: there is no room for all, and who has it depends
 * on the order. */
static bool identities_again(const struct again *a, const struct identities *from, uint32_t n,
			     struct identities *to)
{
	__cleanup_free uint32_t *was = mem_alloc0(n * sizeof(*was));

	for (uint32_t i = 0; i < identities_count(from); i++)
		was[a->numbers[i]] = i;
	for (uint32_t i = 1; i < n; i++) {
		const struct compiled_policy *p = a->all.items[a->users[i]];

		if (identities_get(to, p->doc, via_of(p, was[i])) != i)
			return false;
	}
	return !identities_short(from) && !identities_short(to);
}

static bool identities_settle(struct again *a, struct identities **ids)
{
	__cleanup(identities_freep) struct identities *to = NULL;
	size_t n_ids = identities_count(*ids);
	uint32_t n;

	a->numbers = mem_alloc0(n_ids * sizeof(*a->numbers));
	a->users = mem_alloc0(n_ids * sizeof(*a->users));
	n = identities_order(&a->all, a->numbers, a->users);
	if (n == n_ids && is_in_order(a->numbers, n)) {
		free(a->numbers);
		a->numbers = NULL;
		return true;
	}
	to = identities_like(*ids);
	if (!identities_again(a, *ids, n, to))
		return false;
	identities_free(*ids);
	*ids = TAKE(to);
	return true;
}

static void renumber(struct compiled_policy *p, const uint32_t *numbers)
{
	for (size_t i = 0; i < p->n_rules; i++)
		if (p->rules[i].identity != IDENTITY_NONE)
			p->rules[i].identity = numbers[p->rules[i].identity];
	for (size_t i = 0; i < p->n_identities; i++)
		p->identities[i] = numbers[p->identities[i]];
}

void identities_note_users(struct compiled *c)
{
	__cleanup_free uint32_t *numbers = mem_alloc0(c->n_identities * sizeof(*numbers));
	struct list all = {0};

	for (size_t i = 0; i < c->n_policies; i++)
		list_add(&all, &c->policies[i]);
	c->users = mem_alloc0(c->n_identities * sizeof(*c->users));
	identities_order(&all, numbers, c->users);
	free(all.items);
}

static void names_count(uint32_t *uses, const struct compiled_policy *p, uint32_t by)
{
	for (size_t i = 0; i < p->n_rules; i++)
		for (size_t k = 0; k < p->rules[i].n_names; k++)
			uses[p->rules[i].names[k]] += by;
}

/* Each that old had somebody still has, and nobody has another one. */
static bool names_stay(struct again *a, const struct destinations *d)
{
	const struct compiled *old = a->old;

	/* who gets the names that there are depends on all of them */
	if (a->c->n_unnamed || destinations_n_names(d) != old->n_names)
		return false;
	a->uses = mem_dup(old->name_uses, old->n_names * sizeof(*a->uses));
	for (size_t i = 0; i < a->gone.n; i++)
		names_count(a->uses, a->gone.items[i], UINT32_MAX);
	for (size_t i = 0; i < a->come.n; i++)
		names_count(a->uses, a->come.items[i], 1);
	for (size_t i = 0; i < old->n_names; i++)
		if (!a->uses[i])
			return false;
	return true;
}

/* Those that come, with the numbers of old. */
static bool others_compile(struct again *a, struct destinations *d, struct identities *ids)
{
	for (size_t i = 0; i < a->old->n_names; i++)
		destinations_name(d, "", a->old->names[i]);
	if (!identities_seed(ids, a->old))
		return false;
	for (size_t i = 0; i < a->come.n; i++) {
		policy_rules_compile(a->c, a->come.items[i], d, ids);
		names_sort(a->come.items[i]);
	}
	return names_stay(a, d);
}

/* ---- taking ---- */

/* All but the policies. */
static void take_rest(struct again *a)
{
	struct compiled *c = a->c, *old = a->old;

	for (size_t i = 0; a->numbers && i < c->n_policies; i++)
		renumber(&c->policies[i], a->numbers);
	c->users = TAKE(a->users);
	c->names = TAKE(old->names);
	c->n_names = old->n_names;
	c->name_uses = TAKE(a->uses);
	old->n_names = 0;
}

/* As if nothing had been tried. */
static void give_up(struct again *a)
{
	for (size_t i = 0; i < a->come.n; i++)
		compiled_policy_done(a->come.items[i]);
	a->c->next_edge = INT64_MAX;
	a->c->n_unnamed = 0;
	a->c->scheduled = false;
}

/* Both are in evaluation order. */
static void match(struct again *a)
{
	struct compiled_policy *list = a->old->policies;
	size_t k = 0, n = a->old->n_policies;

	for (size_t i = 0; i < a->c->n_policies; i++) {
		struct compiled_policy *p = &a->c->policies[i];

		while (k < n && list[k].doc != p->doc && compiled_policy_order(&list[k], p) < 0)
			list_add(&a->gone, &list[k++]);
		if (k < n && list[k].doc == p->doc && !list[k].scheduled) {
			list_add(&a->all, &list[k++]);
			continue;
		}
		if (k < n && list[k].doc == p->doc)
			list_add(&a->gone, &list[k++]);
		list_add(&a->all, p);
		list_add(&a->come, p);
	}
	while (k < n)
		list_add(&a->gone, &list[k++]);
}

static void take(struct compiled_policy *p, struct compiled_policy *from)
{
	uint32_t place = p->place;

	*p = *from;
	*from = (struct compiled_policy){.doc = from->doc};
	p->place = place;
	p->kept = true;
}

bool policies_compile_again(struct compiled *c, struct compiled *old, struct destinations *d,
			    struct identities **ids)
{
	__cleanup(again_done) struct again a = {.c = c, .old = old};

	if (!surroundings_same(c, old) || old->n_unnamed)
		return false;
	match(&a);
	if (!others_compile(&a, d, *ids) || !identities_settle(&a, ids)) {
		give_up(&a);
		return false;
	}
	for (size_t i = 0; i < c->n_policies; i++)
		if (a.all.items[i] != &c->policies[i])
			take(&c->policies[i], a.all.items[i]);
	take_rest(&a);
	return true;
}

/* ---- an edit of a few: the list itself is taken ---- */

#define FEW 64

static bool same_place(const struct again *a, const struct doc_policy *now,
		       const struct doc_policy *was)
{
	return policy_step(now) == policy_step(was) && doc_policy_order(now, was) == 0 &&
	       policy_has_effect(a->c, now) == policy_has_effect(a->old, was);
}

static struct compiled_policy *policy_find(const struct compiled *c, const struct doc_policy *doc)
{
	const struct compiled_policy key = {.doc = doc, .step = policy_step(doc)};

	return bsearch(&key, c->policies, c->n_policies, sizeof(key), compiled_policy_order);
}

static void few_add(struct again *a, size_t place)
{
	struct compiled *c = a->c;
	struct doc_policy *now = c->set->policies[place];

	if (!policy_has_effect(c, now))
		return;
	c->policies[c->n_policies] = (struct compiled_policy){
		.doc = now, .step = policy_step(now), .place = (uint32_t)place};
	list_add(&a->come, &c->policies[c->n_policies++]);
	list_add(&a->gone, policy_find(a->old, a->old->set->policies[place]));
}

/* Their rules may be others by now. False: they and the others are many. */
static bool few_scheduled(struct again *a)
{
	const struct compiled *old = a->old;

	for (size_t i = 0; old->scheduled && i < old->n_policies; i++) {
		const struct compiled_policy *p = &old->policies[i];

		if (!p->scheduled || a->c->set->policies[p->place] != p->doc)
			continue;
		if (a->come.n == FEW)
			return false;
		few_add(a, p->place);
	}
	return true;
}

/* False: there are many, or one that came, went or has another place now. */
static bool few_find(struct again *a)
{
	const struct doc_set *now = a->c->set, *was = a->old->set;
	size_t n = 0;

	if (now->n_policies != was->n_policies)
		return false;
	for (size_t i = 0; i < now->n_policies; i++) {
		if (now->policies[i] == was->policies[i])
			continue;
		if (++n > FEW || !same_place(a, now->policies[i], was->policies[i]))
			return false;
		few_add(a, i);
	}
	return few_scheduled(a);
}

static bool few_have_the_same_identities(const struct again *a)
{
	for (size_t i = 0; i < a->come.n; i++) {
		const struct compiled_policy *x = a->come.items[i], *y = a->gone.items[i];

		if (x->n_identities != y->n_identities ||
		    (x->n_identities && memcmp(x->identities, y->identities,
					       x->n_identities * sizeof(*x->identities)) != 0))
			return false;
	}
	return true;
}

static bool few_settle(struct again *a, struct identities **ids)
{
	const struct compiled *old = a->old;

	if (few_have_the_same_identities(a)) {
		a->users = mem_dup(old->users, old->n_identities * sizeof(*old->users));
		return true;
	}
	for (size_t i = 0; i < old->n_policies; i++)
		list_add(&a->all, &old->policies[i]);
	for (size_t i = 0; i < a->gone.n; i++)
		a->all.items[a->gone.items[i] - old->policies] = a->come.items[i];
	return identities_settle(a, ids);
}

static void few_take(struct again *a)
{
	struct compiled *c = a->c, *old = a->old;

	c->edited = mem_alloc0((a->come.n + 1) * sizeof(*c->edited));
	for (size_t i = 0; i < a->come.n; i++) {
		struct compiled_policy *p = a->gone.items[i];

		compiled_policy_done(p);
		*p = *a->come.items[i];
		c->edited[c->n_edited++] = (uint32_t)(p - old->policies);
	}
	free(c->policies);
	c->policies = TAKE(old->policies);
	c->n_policies = old->n_policies;
	old->n_policies = 0;
	take_rest(a);
}

bool policies_edit(struct compiled *c, struct compiled *old, struct destinations *d,
		   struct identities **ids)
{
	__cleanup(again_done) struct again a = {.c = c, .old = old};

	if (old->n_unnamed || !surroundings_same(c, old))
		return false;
	c->policies = mem_alloc0(FEW * sizeof(*c->policies));
	if (few_find(&a) && others_compile(&a, d, *ids) && few_settle(&a, ids)) {
		few_take(&a);
		return true;
	}
	give_up(&a);
	free(c->policies);
	c->policies = NULL;
	c->n_policies = 0;
	return false;
}
