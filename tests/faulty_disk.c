/* A disk that fails: the n-th call that changes something below a folder gives an error, once or from then on.

   Built by test_faulty_disk.py and preloaded (LD_PRELOAD), so that every library of a process meets it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static char root[PATH_MAX];
static int armed, error, forever;
static long at, count;

void faulty_arm(const char *folder, long number, int code, int always) {
  pthread_mutex_lock(&mutex);
  snprintf(root, sizeof root, "%s", folder);
  at = number, count = 0, error = code, forever = always, armed = 1;
  pthread_mutex_unlock(&mutex);
}

/* Ends it; gives how many calls there were. */
long faulty_disarm(void) {
  pthread_mutex_lock(&mutex);
  long seen = count;
  armed = 0;
  pthread_mutex_unlock(&mutex);
  return seen;
}

static int below(const char *path) { return strncmp(path, root, strlen(root)) == 0; }

/* Whether the call fails that is about a path, which may be told from a folder that is open. */
static int fails_at(int folder, const char *path) {
  char whole[2 * PATH_MAX] = "";
  if (!armed || !path) return 0;
  if (path[0] != '/') {
    char link[64];
    if (folder == AT_FDCWD) {
      if (!getcwd(whole, PATH_MAX)) return 0;
    } else {
      snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
      ssize_t length = readlink(link, whole, PATH_MAX - 1);
      if (length < 0) return 0;
      whole[length] = 0;
    }
    strncat(whole, "/", 2);
  }
  strncat(whole, path, PATH_MAX);
  if (!below(whole)) return 0;
  pthread_mutex_lock(&mutex);
  count++;
  int fails = armed && (count == at || (forever && count > at));
  pthread_mutex_unlock(&mutex);
  if (fails) errno = error;
  return fails;
}

static int fails(int file) {
  char link[64], path[PATH_MAX];
  if (!armed) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return path[0] == '/' && fails_at(AT_FDCWD, path);
}

#define NEXT(name) \
  static __typeof__(&name) next; \
  if (!next) next = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

#define OPEN(name) \
  int name(const char *path, int flags, ...) { \
    NEXT(name); \
    va_list rest; \
    va_start(rest, flags); \
    mode_t mode = va_arg(rest, int); \
    va_end(rest); \
    return (flags & (O_CREAT | O_TRUNC)) && fails_at(AT_FDCWD, path) ? -1 : next(path, flags, mode); \
  }
#define OPENAT(name) \
  int name(int folder, const char *path, int flags, ...) { \
    NEXT(name); \
    va_list rest; \
    va_start(rest, flags); \
    mode_t mode = va_arg(rest, int); \
    va_end(rest); \
    return (flags & (O_CREAT | O_TRUNC)) && fails_at(folder, path) ? -1 : next(folder, path, flags, mode); \
  }
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

ssize_t write(int file, const void *data, size_t size) {
  NEXT(write);
  return fails(file) ? -1 : next(file, data, size);
}
ssize_t pwrite(int file, const void *data, size_t size, off_t offset) {
  NEXT(pwrite);
  return fails(file) ? -1 : next(file, data, size, offset);
}
ssize_t pwrite64(int file, const void *data, size_t size, off64_t offset) {
  NEXT(pwrite64);
  return fails(file) ? -1 : next(file, data, size, offset);
}
int ftruncate(int file, off_t size) {
  NEXT(ftruncate);
  return fails(file) ? -1 : next(file, size);
}
int ftruncate64(int file, off64_t size) {
  NEXT(ftruncate64);
  return fails(file) ? -1 : next(file, size);
}
int fsync(int file) {
  NEXT(fsync);
  return fails(file) ? -1 : next(file);
}
int fdatasync(int file) {
  NEXT(fdatasync);
  return fails(file) ? -1 : next(file);
}
int rename(const char *from, const char *to) {
  NEXT(rename);
  return fails_at(AT_FDCWD, to) ? -1 : next(from, to);
}
int renameat(int from_folder, const char *from, int to_folder, const char *to) {
  NEXT(renameat);
  return fails_at(to_folder, to) ? -1 : next(from_folder, from, to_folder, to);
}
int link(const char *from, const char *to) {
  NEXT(link);
  return fails_at(AT_FDCWD, to) ? -1 : next(from, to);
}
int mkdir(const char *path, mode_t mode) {
  NEXT(mkdir);
  return fails_at(AT_FDCWD, path) ? -1 : next(path, mode);
}
int mkdirat(int folder, const char *path, mode_t mode) {
  NEXT(mkdirat);
  return fails_at(folder, path) ? -1 : next(folder, path, mode);
}
int unlink(const char *path) {
  NEXT(unlink);
  return fails_at(AT_FDCWD, path) ? -1 : next(path);
}
int unlinkat(int folder, const char *path, int flags) {
  NEXT(unlinkat);
  return fails_at(folder, path) ? -1 : next(folder, path, flags);
}
int rmdir(const char *path) {
  NEXT(rmdir);
  return fails_at(AT_FDCWD, path) ? -1 : next(path);
}
