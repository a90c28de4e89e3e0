/* SPDX-License-Identifier: Apache-2.0 */
#include "redact.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/atomic_file.h"
#include "base/mem.h"
#include "json/json.h"

#define SECRET_MIN   8
#define FILE_MAX     (1024 * 1024)
#define JWT_MIN	     20
#define KEY_WORD_MAX 64

/* ---- what is known ---- */

/* What is shorter than 8 characters is no secret. */
static void learn(struct redactor *r, const char *secret)
{
	size_t len = strlen(secret);

	while (len && isspace((unsigned char)secret[len - 1]))
		len--;
	if (len < SECRET_MIN)
		return;
	MEM_GROW(r->secrets, r->n);
	r->secrets[r->n++] = mem_printf("%.*s", (int)len, secret);
}

void redactor_learn_file(struct redactor *r, const char *path)
{
	__cleanup_free char *text = NULL, *copy = NULL;
	char *save = NULL;
	size_t len;

	if (atomic_file_load(AT_FDCWD, path, FILE_MAX, &text, &len, NULL) < 0)
		return; /* then nobody of us has read it */
	copy = mem_printf("%.*s", (int)len, text);
	learn(r, copy);
	for (char *line = strtok_r(copy, "\r\n", &save); line; line = strtok_r(NULL, "\r\n", &save))
		learn(r, line);
}

static bool contains_nocase(const char *s, size_t n, const char *word)
{
	size_t len = strlen(word);

	for (size_t i = 0; i + len <= n; i++)
		if (strncasecmp(s + i, word, len) == 0)
			return true;
	return false;
}

/* "tokenFile" and "secretName" say where one is, and not what it is. */
static bool is_secret_word(const char *key, size_t n)
{
	static const char *const words[] = {
		"token",      "password",   "passwd",	    "secret",
		"credential", "authorizat", "apikey",	    "api_key",
		"api-key",    "privatekey", "private-ke",   "private_key",
		"client-key", "client_key", "presharedkey", "passphrase",
	};
	static const char *const places[] = {"file", "path", "dir", "name", "namespace", "ref"};

	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		size_t len = strlen(places[i]);

		if (n > len && strncasecmp(key + n - len, places[i], len) == 0)
			return false;
	}
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (contains_nocase(key, n, words[i]))
			return true;
	return false;
}

static void learn_tree(struct redactor *r, const struct json *j, const char *key)
{
	const char *s;

	if (json_type(j) == JSON_STRING && key && json_string(j, &s, NULL) == 0) {
		if (is_secret_word(key, strlen(key)))
			learn(r, s);
		else if (strcmp(key, "tokenFile") == 0 || strcmp(key, "client-key") == 0)
			redactor_learn_file(r, s);
		return;
	}
	for (size_t i = 0; i < json_len(j); i++)
		if (json_type(j) == JSON_OBJECT)
			learn_tree(r, json_value_at(j, i), json_key_at(j, i));
		else
			learn_tree(r, json_at(j, i), key);
}

void redactor_learn_kubeconfig(struct redactor *r, const char *path)
{
	__cleanup_json struct json *tree = NULL;
	__cleanup_free char *text = NULL;
	struct yaml *y;
	size_t len;

	if (atomic_file_load(AT_FDCWD, path, FILE_MAX, &text, &len, NULL) < 0 ||
	    yaml_open(text, len, &y, NULL) < 0)
		return;
	if (yaml_next(y, &tree, NULL) == 0)
		learn_tree(r, tree, NULL);
	yaml_close(y);
}

void redactor_done(struct redactor *r)
{
	for (size_t i = 0; i < r->n; i++)
		free(r->secrets[i]);
	free(r->secrets);
	*r = (struct redactor){0};
}

/* ---- a text that is copied piece by piece ---- */

struct copy {
	const char *p, *end, *line; /* where we are, and where the line begins */
	char *out;
	size_t n, cap;
	bool replaced;
};

static void put(struct copy *c, const char *s, size_t n)
{
	if (c->n + n + 1 > c->cap) {
		c->cap = (c->n + n + 1) * 2;
		c->out = mem_resize(c->out, c->cap, 1);
	}
	memcpy(c->out + c->n, s, n);
	c->n += n;
	c->out[c->n] = '\0';
}

/* The next n bytes stand for a secret. */
static void hide(struct copy *c, size_t n)
{
	put(c, REDACTED, strlen(REDACTED));
	c->p += n;
}

static bool begins(const struct copy *c, const char *s)
{
	return (size_t)(c->end - c->p) >= strlen(s) && memcmp(c->p, s, strlen(s)) == 0;
}

static size_t known_here(const struct redactor *r, const struct copy *c)
{
	size_t longest = 0;

	for (size_t i = 0; i < r->n; i++)
		if (begins(c, r->secrets[i]) && strlen(r->secrets[i]) > longest)
			longest = strlen(r->secrets[i]);
	return longest;
}

static bool is_token_letter(char c)
{
	return isalnum((unsigned char)c) || strchr("-_.~+/=", c);
}

static size_t run_of_letters(const char *p, const char *end)
{
	size_t n = 0;

	while (p + n < end && p[n] && is_token_letter(p[n]))
		n++;
	return n;
}

/* "-----BEGIN EC PRIVATE KEY-----" … "-----END EC PRIVATE KEY-----" */
static size_t private_key_here(const struct copy *c)
{
	const char *head, *end, *tail;
	size_t left = (size_t)(c->end - c->p);

	if (!begins(c, "-----BEGIN "))
		return 0;
	head = memmem(c->p + 11, left - 11, "-----", 5);
	if (!head || !contains_nocase(c->p, (size_t)(head - c->p), "PRIVATE KEY"))
		return 0;
	end = memmem(head, (size_t)(c->end - head), "-----END ", 9);
	tail = end ? memmem(end + 9, (size_t)(c->end - end) - 9, "-----", 5) : NULL;
	return tail ? (size_t)(tail + 5 - c->p) : left;
}

static size_t looks_here(const struct copy *c)
{
	size_t n;

	if (begins(c, "eyJ")) {
		n = run_of_letters(c->p, c->end);
		if (n >= JWT_MIN && memchr(c->p, '.', n))
			return n;
	}
	return private_key_here(c);
}

/* What has been copied ends with "Bearer ", or with "://user:" of a URL with a password. */
static size_t after_here(const struct copy *c)
{
	size_t n, at;

	if (c->n >= 7 && strncasecmp(c->out + c->n - 7, "bearer ", 7) == 0)
		return run_of_letters(c->p, c->end);
	if (!c->n || c->out[c->n - 1] != ':')
		return 0;
	for (at = c->n - 1; at && is_token_letter(c->out[at - 1]) && c->out[at - 1] != '/'; at--)
		;
	if (at < 3 || at == c->n - 1 || memcmp(c->out + at - 3, "://", 3) != 0)
		return 0;
	for (n = 0; c->p + n < c->end && c->p[n] != '@'; n++)
		if (isspace((unsigned char)c->p[n]) || strchr("/\"'", c->p[n]))
			return 0;
	return c->p + n < c->end ? n : 0;
}

/* ---- by name ---- */

static size_t indent_of(const char *line, const char *end)
{
	size_t n = 0;

	while (line + n < end && line[n] == ' ')
		n++;
	return n;
}

static const char *line_end(const char *p, const char *end)
{
	const char *nl = memchr(p, '\n', (size_t)(end - p));

	return nl ?: end;
}

/* The word that ends where the copy does, without its quotes. */
static bool secret_before(const struct copy *c)
{
	size_t end = c->n, begin;

	while (end && (strchr("\"' \\", c->out[end - 1])) && c->n - end < 4)
		end--;
	for (begin = end; begin && end - begin < KEY_WORD_MAX; begin--)
		if (!isalnum((unsigned char)c->out[begin - 1]) && !strchr("-_.", c->out[begin - 1]))
			break;
	return end > begin && is_secret_word(c->out + begin, end - begin);
}

/* "token: |" and lines that are further in. */
static void hide_block(struct copy *c)
{
	size_t indent = indent_of(c->line, c->end);
	const char *p = line_end(c->p, c->end);

	put(c, c->p, (size_t)(p - c->p));
	c->p = p;
	while (p < c->end) {
		const char *next = line_end(p + 1, c->end);
		size_t in = indent_of(p + 1, next);

		if (p + 1 + in < next && in <= indent)
			break;
		p = next;
	}
	if (p > c->p) {
		put(c, "\n", 1);
		hide(c, (size_t)(p - c->p));
	}
}

/* "…", or \"…\" of a string within a string. */
static void hide_quoted(struct copy *c, const char *end)
{
	bool escaped = c->n && c->out[c->n - 1] == '\\';
	char quote = *c->p;
	const char *p;

	put(c, c->p, 1);
	c->p++;
	for (p = c->p; p < end && *p != quote; p++)
		if (*p == '\\' && p + 1 < end) {
			if (escaped && p[1] == quote)
				break;
			p++;
		}
	if (p > end)
		p = end;
	hide(c, (size_t)(p - c->p));
}

/* Behind ':' or '=' of a name that is a secret's. */
static void hide_value(struct copy *c, char separator)
{
	const char *end = line_end(c->p, c->end);
	size_t n = 0;

	while (c->p < end && (*c->p == ' ' || *c->p == '\\')) {
		put(c, c->p, 1);
		c->p++;
	}
	if (c->p == end || strchr("|>", *c->p)) {
		if (separator == ':')
			hide_block(c);
		return;
	}
	if (strchr("\"'", *c->p)) {
		hide_quoted(c, end);
		return;
	}
	if (strchr("{[", *c->p) || begins(c, "null") || begins(c, "true") || begins(c, "false"))
		return; /* its members have names of their own */
	while (c->p + n < end && !strchr(separator == '=' ? " \t,;&\"'" : "\r,}", c->p[n]))
		n++;
	if (strspn(c->p, "0123456789") < n) /* a count is none */
		hide(c, n);
}

char *redact(const struct redactor *r, const char *text, size_t len, size_t *ret_len)
{
	struct copy c = {.p = text, .end = text + len, .line = text};

	put(&c, "", 0);
	while (c.p < c.end) {
		size_t n = known_here(r, &c);
		char letter = *c.p;

		n = n ?: looks_here(&c);
		n = n ?: after_here(&c);
		if (n) {
			hide(&c, n);
			continue;
		}
		if ((letter == ':' || letter == '=') && secret_before(&c)) {
			put(&c, c.p, 1);
			c.p++;
			hide_value(&c, letter);
			continue;
		}
		put(&c, c.p, 1);
		c.p++;
		if (letter == '\n')
			c.line = c.p;
	}
	*ret_len = c.n;
	return c.out;
}
