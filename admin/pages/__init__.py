"""The pages of the console, one a module; `admin/menu.py` lists them."""
