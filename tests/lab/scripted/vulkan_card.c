/* A Vulkan layer: Mesa's device, which is the processor, is shown as the card at a PCI address.

   The address is in /etc/vulkan/card. What it is called, what it can do and what it computes stays
   Mesa's own. */

#include <stdio.h>
#include <string.h>
#include <vulkan/vk_layer.h>
#include <vulkan/vulkan.h>

static PFN_vkGetInstanceProcAddr next_proc;
static VkInstance instance;

#define NEXT(name) ((PFN_##name)next_proc(instance, #name))

static VKAPI_ATTR VkResult VKAPI_CALL create_instance(const VkInstanceCreateInfo *info,
                                                      const VkAllocationCallbacks *allocator,
                                                      VkInstance *created) {
    VkLayerInstanceCreateInfo *link = (VkLayerInstanceCreateInfo *)info->pNext;
    while (link && !(link->sType == VK_STRUCTURE_TYPE_LOADER_INSTANCE_CREATE_INFO &&
                     link->function == VK_LAYER_LINK_INFO))
        link = (VkLayerInstanceCreateInfo *)link->pNext;
    if (!link) return VK_ERROR_INITIALIZATION_FAILED;
    next_proc = link->u.pLayerInfo->pfnNextGetInstanceProcAddr;
    link->u.pLayerInfo = link->u.pLayerInfo->pNext;
    PFN_vkCreateInstance create = (PFN_vkCreateInstance)next_proc(NULL, "vkCreateInstance");
    VkResult result = create(info, allocator, created);
    if (result == VK_SUCCESS) instance = *created;
    return result;
}

static VKAPI_ATTR void VKAPI_CALL properties(VkPhysicalDevice device,
                                             VkPhysicalDeviceProperties *found) {
    NEXT(vkGetPhysicalDeviceProperties)(device, found);
    found->deviceType = VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU;
}

static VKAPI_ATTR void VKAPI_CALL properties2(VkPhysicalDevice device,
                                              VkPhysicalDeviceProperties2 *found) {
    NEXT(vkGetPhysicalDeviceProperties2)(device, found);
    found->properties.deviceType = VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU;
    for (VkBaseOutStructure *each = found->pNext; each; each = each->pNext) {
        if (each->sType != VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PCI_BUS_INFO_PROPERTIES_EXT) continue;
        VkPhysicalDevicePCIBusInfoPropertiesEXT *bus = (void *)each;
        FILE *file = fopen("/etc/vulkan/card", "r");
        if (!file) continue;
        if (fscanf(file, "%x:%x:%x.%x", &bus->pciDomain, &bus->pciBus, &bus->pciDevice,
                   &bus->pciFunction) != 4)
            fprintf(stderr, "/etc/vulkan/card has no PCI address\n");
        fclose(file);
    }
}

static VKAPI_ATTR VkResult VKAPI_CALL extensions(VkPhysicalDevice device, const char *layer,
                                                 uint32_t *count, VkExtensionProperties *found) {
    uint32_t room = *count;
    VkResult result =
        NEXT(vkEnumerateDeviceExtensionProperties)(device, layer, count, found);
    if (layer || result < 0) return result;
    if (found) {
        if (*count >= room) return VK_INCOMPLETE;
        memset(&found[*count], 0, sizeof *found);
        strcpy(found[*count].extensionName, VK_EXT_PCI_BUS_INFO_EXTENSION_NAME);
        found[*count].specVersion = VK_EXT_PCI_BUS_INFO_SPEC_VERSION;
    }
    *count += 1;
    return result;
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL proc(VkInstance of, const char *name) {
    static const struct {
        const char *name;
        void *function;
    } ours[] = {{"vkGetInstanceProcAddr", proc},
                {"vkCreateInstance", create_instance},
                {"vkGetPhysicalDeviceProperties", properties},
                {"vkGetPhysicalDeviceProperties2", properties2},
                {"vkGetPhysicalDeviceProperties2KHR", properties2},
                {"vkEnumerateDeviceExtensionProperties", extensions}};
    for (size_t at = 0; at < sizeof ours / sizeof *ours; at++)
        if (!strcmp(name, ours[at].name)) return (PFN_vkVoidFunction)ours[at].function;
    return next_proc ? next_proc(of, name) : NULL;
}

VKAPI_ATTR VkResult VKAPI_CALL
vkNegotiateLoaderLayerInterfaceVersion(VkNegotiateLayerInterface *asked) {
    asked->loaderLayerInterfaceVersion = 2;
    asked->pfnGetInstanceProcAddr = proc;
    asked->pfnGetDeviceProcAddr = NULL;
    asked->pfnGetPhysicalDeviceProcAddr = NULL;
    return VK_SUCCESS;
}
