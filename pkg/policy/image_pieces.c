/* SPDX-License-Identifier: Apache-2.0 */
/* An image in pieces, put together for whoever wants it as one. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "policy/image.h"

void image_pieces_done(struct image_pieces *p)
{
	free(p->own);
	*p = (struct image_pieces){};
}

int image_build(const struct compiled *c, const struct image_info *info,
		const struct image_program *programs, size_t n, uint8_t **ret_data, size_t *ret_len)
{
	struct image_pieces p;
	size_t len = 0;
	uint8_t *at;

	image_pieces_build(c, info, programs, n, &p);
	for (size_t i = 0; i < IMAGE_PIECES; i++)
		len += p.list[i].iov_len;
	*ret_data = at = mem_alloc0(len);
	*ret_len = len;
	for (size_t i = 0; i < IMAGE_PIECES; i++)
		at = mempcpy(at, p.list[i].iov_base, p.list[i].iov_len);
	image_pieces_done(&p);
	return 0;
}
