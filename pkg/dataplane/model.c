/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/model.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "bpf/maps.h"

struct dp_model *dp_model_new(void)
{
	return mem_alloc0(sizeof(struct dp_model));
}

void dp_model_free(struct dp_model *m)
{
	if (!m)
		return;
	free(m->addrs);
	free(m->neighs);
	free(m->rules);
	free(m->routes);
	free(m->inside);
	free(m->services);
	free(m->senders);
	free(m->owned);
	free(m->pods);
	free(m->nft_addresses);
	free(m->nft_limits);
	free(m->nft_rooms);
	free(m->nft_nodes);
	free(m->nft_inside);
	free(m->nft_ends);
	free(m->nft_governed);
	free(m->nft_services);
	free(m);
}

struct dp_model *dp_model_maps(const struct dp_model *m)
{
	struct dp_model *k = dp_model_new();

	k->config = m->config;
	memcpy(k->nodes, m->nodes, sizeof(k->nodes));
	memcpy(k->egress, m->egress, sizeof(k->egress));
	k->inside = mem_dup(m->inside, m->n_inside * sizeof(*k->inside));
	k->n_inside = m->n_inside;
	k->services = mem_dup(m->services, m->n_services * sizeof(*k->services));
	k->n_services = m->n_services;
	k->senders = mem_dup(m->senders, m->n_senders * sizeof(*k->senders));
	k->n_senders = m->n_senders;
	k->owned = mem_dup(m->owned, m->n_owned * sizeof(*k->owned));
	k->n_owned = m->n_owned;
	return k;
}

static int u32_cmp(uint32_t a, uint32_t b)
{
	return a < b ? -1 : a > b;
}

int dp_ifaddr_cmp(const void *a, const void *b)
{
	const struct ifaddr *x = a, *y = b;
	int c = u32_cmp(x->ifindex, y->ifindex);

	return c ? c : addr_cmp(x->addr, y->addr);
}

int dp_neigh_cmp(const void *a, const void *b)
{
	const struct neigh *x = a, *y = b;

	return addr_cmp(x->addr, y->addr);
}

int dp_rule_cmp(const void *a, const void *b)
{
	const struct fib_rule *x = a, *y = b;
	int c = x->family - y->family;

	c = c ? c : u32_cmp(x->priority, y->priority);
	c = c ? c : u32_cmp(x->mark, y->mark);
	c = c ? c : u32_cmp(x->mask, y->mask);
	return c ? c : u32_cmp(x->table, y->table);
}

int dp_route_cmp(const void *a, const void *b)
{
	const struct route *x = a, *y = b;
	int c = u32_cmp(x->table, y->table);

	c = c ? c : cidr_cmp(x->dst, y->dst);
	return c ? c : u32_cmp(x->metric, y->metric);
}

int dp_inside_cmp(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct slu_lpm_key));
}

int dp_service_cmp(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct slu_endpoint));
}

struct nft_service *dp_translations(const struct dp_service *list, size_t n, size_t *ret_n)
{
	struct nft_service *out = NULL;
	size_t n_out = 0;

	for (size_t i = 0; i < n; i++)
		for (uint32_t k = 0; k < list[i].to.n && k < SLU_MAX_ENDPOINTS; k++) {
			const struct slu_endpoint *to = &list[i].to.at[k];

			MEM_GROW(out, n_out);
			out[n_out++] = (struct nft_service){
				.addr = slu_addr_get(list[i].at.addr),
				.endpoint = slu_addr_get(to->addr),
				.port = (uint16_t)list[i].at.l4_key,
				.endpoint_port = (uint16_t)to->l4_key,
				.proto = (uint8_t)(list[i].at.l4_key >> 16),
			};
		}
	*ret_n = n_out;
	return out;
}

int dp_sender_cmp(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct slu_addr));
}

int dp_owned_cmp(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct slu_owned_key));
}

int dp_pod_cmp(const void *a, const void *b)
{
	const struct dp_attachment *x = &((const struct dp_pod *)a)->a;
	const struct dp_attachment *y = &((const struct dp_pod *)b)->a;
	int c = (int)x->macvlan - (int)y->macvlan;

	c = c ? c : u32_cmp(x->ifindex, y->ifindex);
	if (c || !x->macvlan)
		return c;
	return memcmp(x->pod.mac, y->pod.mac, sizeof(x->pod.mac));
}

/* Sorts and keeps the first of equal keys; returns how many are left. */
static size_t list_sort(void *list, size_t n, size_t size, int (*cmp)(const void *, const void *))
{
	char *p = list;
	size_t kept = 0;

	if (n == 0)
		return 0;
	qsort(list, n, size, cmp);
	for (size_t i = 1; i < n; i++) {
		if (cmp(p + kept * size, p + i * size) == 0)
			continue;
		kept++;
		memmove(p + kept * size, p + i * size, size);
	}
	return kept + 1;
}

void dp_model_sort(struct dp_model *m)
{
	m->n_addrs = list_sort(m->addrs, m->n_addrs, sizeof(*m->addrs), dp_ifaddr_cmp);
	m->n_neighs = list_sort(m->neighs, m->n_neighs, sizeof(*m->neighs), dp_neigh_cmp);
	m->n_rules = list_sort(m->rules, m->n_rules, sizeof(*m->rules), dp_rule_cmp);
	m->n_routes = list_sort(m->routes, m->n_routes, sizeof(*m->routes), dp_route_cmp);
	m->n_inside = list_sort(m->inside, m->n_inside, sizeof(*m->inside), dp_inside_cmp);
	m->n_services = list_sort(m->services, m->n_services, sizeof(*m->services), dp_service_cmp);
	m->n_senders = list_sort(m->senders, m->n_senders, sizeof(*m->senders), dp_sender_cmp);
	m->n_owned = list_sort(m->owned, m->n_owned, sizeof(*m->owned), dp_owned_cmp);
	m->n_pods = list_sort(m->pods, m->n_pods, sizeof(*m->pods), dp_pod_cmp);
}
