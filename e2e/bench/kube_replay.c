/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An API server that costs next to nothing: kube_replay FOLDER KUBECONFIG. It answers a list with
 * the file that was recorded of it (/api/v1/pods: FOLDER/api_v1_pods), says no more in a watch, and
 * lets nobody write. So what a daemon itself needs for a crowd of objects can be told from what the
 * real server needs to encode them. Serves on loopback until it is killed.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "testkit/fake_api.h"

#define CHUNK (64 * 1024)

static const char *folder;

static void send_file(struct fake_conn *c, int fd, size_t size)
{
	char *text = size ? mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;

	if (text == MAP_FAILED) {
		fake_json(c, 500, "{}");
		return;
	}
	fake_head(c, 200, NULL);
	for (size_t at = 0; at < size && !fake_over(c); at += CHUNK)
		fake_chunk(c, text + at, size - at < CHUNK ? size - at : CHUNK);
	fake_end(c);
	munmap(text, size);
}

static void answer(struct fake_conn *c, const struct fake_request *r, void *data)
{
	__cleanup_free char *path = mem_printf("%s/%s", folder, r->path + 1);
	__cleanup_close int fd = -1;
	struct stat st;

	path[strcspn(path, "?")] = '\0';
	for (char *p = path + strlen(folder) + 1; *p; p++)
		if (*p == '/')
			*p = '_';
	fd = strcmp(r->method, "GET") == 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0 || fstat(fd, &st) < 0) {
		fake_json(c, 404, "{\"kind\":\"Status\",\"code\":404}");
	} else if (strstr(r->path, "watch=true")) {
		fake_head(c, 200, NULL);
		fake_hold(c);
	} else {
		send_file(c, fd, (size_t)st.st_size);
	}
}

static bool store(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");
	bool ok = f && fputs(text, f) >= 0;

	return f && fclose(f) == 0 && ok;
}

int main(int argc, char **argv)
{
	__cleanup_free char *ca = NULL, *config = NULL;
	struct fake_api *a;

	if (argc != 3) {
		fprintf(stderr, "usage: kube_replay FOLDER KUBECONFIG\n");
		return 2;
	}
	folder = argv[1];
	a = fake_api_start(NULL, answer, NULL);
	ca = mem_printf("%s.ca", argv[2]);
	config = mem_printf("apiVersion: v1\nkind: Config\ncurrent-context: replay\n"
			    "contexts: [{name: replay, context: {cluster: c, user: u}}]\n"
			    "clusters: [{name: c, cluster: {server: \"https://127.0.0.1:%d\", "
			    "certificate-authority: \"%s\"}}]\n"
			    "users: [{name: u, user: {token: secret}}]\n",
			    fake_api_port(a), ca);
	if (!store(ca, fake_api_ca(a)) || !store(argv[2], config)) {
		perror(argv[2]);
		return 1;
	}
	for (;;)
		pause();
}
