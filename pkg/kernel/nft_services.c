/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Services that lead outside: which translations were judged (reconcile/desired_inside.c). Their
 * sets are changed with all others; what goes is taken out beforehand, too, since between the
 * maps and this table a packet may be judged as one endpoint and sent to another.
 */
#include <errno.h>
#include <string.h>

#include "kernel/nft_priv.h"

enum nft_set_index nft_service_set(const struct nft_service *s)
{
	return addr_is_v4(s->addr) ? NFT_SET_SERVICES4 : NFT_SET_SERVICES6;
}

/* Each part begins a register of four bytes, as the rule fills them (STEP_SERVICE_IN). */
void nft_service_key(const struct nft_service *s, uint8_t *key)
{
	uint16_t port = htons(s->port), endpoint_port = htons(s->endpoint_port);
	size_t len = addr_len(s->addr);

	memcpy(key, addr_bytes(&s->addr), len);
	memcpy(key + len, &port, sizeof(port));
	key[len + 4] = s->proto;
	memcpy(key + len + 8, addr_bytes(&s->endpoint), len);
	memcpy(key + 2 * len + 8, &endpoint_port, sizeof(endpoint_port));
}

void nft_service_fields(struct nftnl_set *set, enum nft_set_index i)
{
	const uint8_t len = i == NFT_SET_SERVICES4 ? 4 : 16;
	const uint8_t fields[] = {len, 2, 1, len, 2};

	nftnl_set_set_data(set, NFTNL_SET_DESC_CONCAT, fields, sizeof(fields));
}

static int close_one(struct nft *n, const struct nft_service *s, struct err *e)
{
	__cleanup_batch struct nft_batch b = {0};
	__cleanup(nftnl_set_freep) struct nftnl_set *set = nft_set_build(nft_service_set(s));
	struct nftnl_set_elem *x = nftnl_set_elem_alloc();
	uint8_t key[sizeof(((struct nft_elem *)0)->key)] = {0};

	if (!x)
		oom();
	nft_service_key(s, key);
	nftnl_set_elem_set(x, NFTNL_SET_ELEM_KEY, key, 2 * (uint32_t)addr_len(s->addr) + 12);
	nftnl_set_elem_add(set, x);
	nft_batch_begin(n, &b, NFPROTO_INET);
	nftnl_set_elems_nlmsg_build_payload(nft_batch_open(&b, NFT_MSG_DELSETELEM, 0), set);
	nft_batch_close(&b);
	return nft_batch_send(n, &b, e);
}

int nft_services_close(struct nft *n, const struct nft_service *list, size_t n_list, struct err *e)
{
	for (size_t i = 0; i < n_list; i++) {
		struct err mine = {0};
		int r = close_one(n, &list[i], &mine);

		if (r < 0 && r != -ENOENT)
			return err_set(e, r, "%s", mine.msg);
	}
	return 0;
}
