/* A machine's kernel calls itself what /lab/hardware/release says: preloaded into every program
   there, because the kernel of a container is that of its host and cannot be renamed. */
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

int uname(struct utsname *name)
{
    int result = syscall(SYS_uname, name);
    int file = open("/lab/hardware/release", O_RDONLY | O_CLOEXEC);

    if (result == 0 && file >= 0) {
        ssize_t length = read(file, name->release, sizeof name->release - 1);
        name->release[length > 0 ? length : 0] = 0;
    }
    if (file >= 0)
        close(file);
    return result;
}
