"""What the model can do. One module and one description (.md) for each tool."""
