/* SPDX-License-Identifier: Apache-2.0 */
#include "by_kubectl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../sluicectl/capture.h"
#include "../sluicectl/text.h"
#include "base/mem.h"
#include "json/json.h"

#define PAGE	   500
#define ANSWER_MAX (256u << 20)

bool kubectl_is_there(void)
{
	__cleanup_free char *path = mem_strdup(getenv("PATH"));
	char *save = NULL;

	for (char *d = path ? strtok_r(path, ":", &save) : NULL; d;
	     d = strtok_r(NULL, ":", &save)) {
		__cleanup_free char *file = mem_printf("%s/kubectl", d);

		if (access(file, X_OK) == 0)
			return true;
	}
	return false;
}

/* "Error from server (Forbidden): pods is forbidden: …" → -EACCES, in the words of our client */
static int code_of(const struct api_ask *k, const char *said, struct err *e)
{
	static const struct {
		const char *word, *as;
		int code;
	} table[] = {
		{"(Forbidden): ", "403 Forbidden: ", -EACCES},
		{"(NotFound): ", "404 Not Found: ", -ENOENT},
		{"the server could not find the requested resource", "404 Not Found: ", -ENOENT},
		{"You must be logged in", "401 Unauthorized: ", -EPERM},
	};
	size_t n = strcspn(said, "\n");

	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		const char *at = strstr(said, table[i].word);

		if (!at)
			continue;
		at += strlen(table[i].word);
		return err_set(e, table[i].code, "GET %s: %s%.*s", k->path, table[i].as,
			       (int)strcspn(at, "\n"), at);
	}
	return err_set(e, -EIO, "kubectl get --raw %s: %.*s", k->path, (int)n,
		       n ? said : "it said nothing");
}

/* kubectl, with the words in argv, and what says which cluster. */
static int kubectl(const struct ctl *ctl, const char *const argv[4], struct captured *ret,
		   struct err *e)
{
	__cleanup_free char *context = mem_printf("--context=%s", ctl->context ?: "");
	const char *all[8] = {"kubectl"};
	size_t n = 1;

	for (size_t i = 0; i < 4 && argv[i]; i++)
		all[n++] = argv[i];
	if (ctl->context)
		all[n++] = context;
	if (ctl->kubeconfig)
		setenv("KUBECONFIG", ctl->kubeconfig, 1); /* there may be several of them */
	return capture_program(all, ANSWER_MAX, ret, e);
}

char *kubectl_config(const struct ctl *ctl, const char *jsonpath)
{
	const char *const argv[4] = {"config", "view", "--minify", jsonpath};
	__cleanup(captured_done) struct captured c = {0};
	bool said = kubectl(ctl, argv, &c, NULL) == 0 && c.status == 0 && c.out_len;

	return said ? TAKE(c.out) : NULL;
}

static int get(const struct ctl *ctl, const struct api_ask *k, const char *path, struct json **ret,
	       struct err *e)
{
	const char *const argv[4] = {"get", "--raw", path};
	__cleanup(captured_done) struct captured c = {0};
	int r = kubectl(ctl, argv, &c, e);

	if (r < 0)
		return r;
	if (c.status != 0)
		return code_of(k, c.err, e);
	if (c.cut)
		return err_set(e, -EFBIG, "%s: more than %u MiB", k->path, ANSWER_MAX >> 20);
	return json_parse(c.out, c.out_len, ret, e);
}

/* "…&continue=TOKEN", which may hold what a query may not */
static char *escape(const char *s)
{
	char *out = mem_alloc0(strlen(s) * 3 + 1), *p = out;
	static const char hex[] = "0123456789ABCDEF";

	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		    strchr("-_.~", c)) {
			*p++ = (char)c;
			continue;
		}
		*p++ = '%';
		*p++ = hex[c >> 4];
		*p++ = hex[c & 15];
	}
	return out;
}

/* A page; *next is the token of the one behind it, NULL: it was the last. */
static int page(const struct ctl *ctl, struct api_ask *k, char **next, struct err *e)
{
	__cleanup_free char *token = *next ? escape(*next) : NULL;
	__cleanup_free char *path = mem_printf("%s?%s%slimit=%d%s%s", k->path, k->query ?: "",
					       k->query ? "&" : "", PAGE, token ? "&continue=" : "",
					       token ?: "");
	__cleanup_json struct json *list = NULL;
	const struct json *items;
	const char *more;
	int r = get(ctl, k, path, &list, e);

	free(TAKE(*next));
	if (r < 0)
		return r;
	items = json_get(list, "items");
	for (size_t i = 0; i < json_len(items); i++)
		k->object(k->data, json_at(items, i));
	more = text_of(json_get(list, "metadata"), "continue");
	*next = mem_strdup(more && *more ? more : NULL);
	return 0;
}

void by_kubectl(const struct ctl *ctl, struct api_ask *k)
{
	__cleanup_json struct json *object = NULL;
	__cleanup_free char *next = NULL;

	k->e = (struct err){0};
	if (k->one) {
		k->code = get(ctl, k, k->path, &object, &k->e);
		if (k->code == 0)
			k->object(k->data, object);
		return;
	}
	if (k->begin)
		k->begin(k->data);
	do
		k->code = page(ctl, k, &next, &k->e);
	while (k->code == 0 && next);
}
