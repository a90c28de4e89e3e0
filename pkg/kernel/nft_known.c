/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nftables counts its transactions, everybody's: what was equal to a model at one number
 * still is while the number stays. A look at both tables takes the kernel and us a
 * millisecond, the number a few microseconds, and passes are twice a second.
 */
#include "base/hash.h"
#include "kernel/nft_priv.h"

static uint64_t hash_u32(uint32_t v, uint64_t h)
{
	return hash_bytes(&v, sizeof(v), h);
}

static uint64_t hash_addrs(const struct addr *v, size_t n, uint64_t h)
{
	_Static_assert(sizeof(*v) == 16, "padding would be hashed");

	return hash_bytes(n ? v : (const void *)"", n * sizeof(*v), hash_u32((uint32_t)n, h));
}

static uint64_t hash_services(const struct nft_model *m, uint64_t h)
{
	h = hash_u32((uint32_t)m->n_services, h);
	for (size_t i = 0; i < m->n_services; i++) {
		const struct nft_service *s = &m->services[i];

		h = hash_u32((uint32_t)s->port << 16 | s->endpoint_port, hash_u32(s->proto, h));
		h = hash_addrs(&s->endpoint, 1, hash_addrs(&s->addr, 1, h));
	}
	return h;
}

static uint64_t model_digest(const struct nft_model *m)
{
	uint64_t h = hash_u32(m->mark_mask, m->port);

	_Static_assert(sizeof(*m) == 8 + 8 * (sizeof(void *) + sizeof(size_t)),
		       "what is new in the model belongs in here");
	_Static_assert(sizeof(*m->inside) == 17, "padding would be hashed");
	h = hash_u32((uint32_t)m->n_addresses, h);
	for (size_t i = 0; i < m->n_addresses; i++)
		h = hash_addrs(&m->addresses[i].addr, 1,
			       hash_u32(m->addresses[i].id << 1 | m->addresses[i].guard, h));
	_Static_assert(sizeof(*m->limits) == 20, "padding would be hashed");
	_Static_assert(sizeof(*m->rooms) == 36, "padding would be hashed");
	h = hash_bytes(m->n_limits ? m->limits : (const void *)"", m->n_limits * sizeof(*m->limits),
		       hash_u32((uint32_t)m->n_limits, h));
	h = hash_bytes(m->n_rooms ? m->rooms : (const void *)"", m->n_rooms * sizeof(*m->rooms),
		       hash_u32((uint32_t)m->n_rooms, h));
	h = hash_u32((uint32_t)m->n_nodes, h);
	for (size_t i = 0; i < m->n_nodes; i++)
		h = hash_u32(m->nodes[i], h);
	h = hash_bytes(m->n_inside ? m->inside : (const void *)"", m->n_inside * sizeof(*m->inside),
		       hash_u32((uint32_t)m->n_inside, h));
	h = hash_addrs(m->tunnel_ends, m->n_tunnel_ends, h);
	h = hash_addrs(m->governed, m->n_governed, h);
	return hash_services(m, h) | 1;
}

bool nft_known_equal(struct nft *n, const struct nft_model *m)
{
	uint32_t now;

	return n->equal_to && n->equal_to == model_digest(m) && nft_generation(n, &now) == 0 &&
	       now == n->equal_at;
}

void nft_known_set(struct nft *n, const struct nft_model *m, uint32_t generation)
{
	n->equal_to = model_digest(m);
	n->equal_at = generation;
}

void nft_forget(struct nft *n)
{
	n->equal_to = 0;
}
