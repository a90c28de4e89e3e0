/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as an image; the checksum is made to fit, or nothing behind it would ever be reached.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "policy/image.h"
#include "policy/image_format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ask(const struct image *img, bool known)
{
	struct label label = {mem_strdup("app"), mem_strdup("web")};
	struct pod_info pod = {
		.namespace = "shop", .name = "p", .labels = {&label, 1}, .labels_known = known};
	struct image_answer answer;
	struct labels labels = {};

	image_resolve(img, &pod, &answer);
	if (!image_pod_labels(img, "shop", "p", &labels))
		labels_done(&labels);
	free(label.key);
	free(label.value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = mem_dup(data, size); /* exactly as long, so that a read behind it shows */
	struct image_header h;
	struct image img;

	if (size >= sizeof(h)) {
		memcpy(&h, copy, sizeof(h));
		memcpy(h.magic, IMAGE_MAGIC, sizeof(h.magic));
		h.version = IMAGE_VERSION;
		h.len = size;
		h.checksum = 0;
		memcpy(copy, &h, sizeof(h));
		h.checksum = image_checksum(copy, size);
		memcpy(copy, &h, sizeof(h));
	}
	if (!image_open(&img, copy, size, NULL)) {
		ask(&img, true);
		ask(&img, false);
	}
	free(copy);
	return 0;
}
