"""What the gateway is made of on the machine: certificates, configuration, the page's own key."""
