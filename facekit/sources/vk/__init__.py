"""VK: albums of a person or a community."""
